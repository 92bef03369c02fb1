"""Random changes of training images: drawn for every image from the seed and its position alone, then applied."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from mlimg_build.images import native
from mlimg_build.spec import Augmentation
from mlimg_build.training.data.shuffle_order import splitmix64

__all__ = ["Changes", "augment", "draw"]

TAG = 3  # of this stream of random numbers
ATTEMPTS = 10  # to find a crop that fits, as torchvision makes
NUMBERS = 2 * ATTEMPTS + 14
BRIGHTNESS, CONTRAST, SATURATION, HUE = 32 / 255, 0.5, 0.5, 0.2


class Changes(NamedTuple):
    """What is done to some images, one element each: a crop, a mirroring, a rotation, a change of colours.

    `boxes` float64[n, 4] are left, top, right, bottom, whole pixels; `mirrored`, `turned` and `changed` bool[n];
    `degrees` float32[n], counter-clockwise; `orders` uint8[n, 4], in which brightness (0), contrast (1), saturation (2)
    and hue (3) are changed, by `factors` float32[n, 4].
    """

    boxes: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    degrees: NDArray[np.float32]
    changed: NDArray[np.bool_]
    orders: NDArray[np.uint8]
    factors: NDArray[np.float32]


def draw(
    part: Augmentation,
    seed: int,
    positions: NDArray[np.int64],
    widths: NDArray[np.int64],
    heights: NDArray[np.int64],
) -> Changes:
    """Draw the changes of images of these sizes at these positions of the order.

    The distributions are those of torchvision's `RandomResizedCrop` (area uniform, aspect log-uniform, ten attempts,
    then the largest crop in the middle), `RandomHorizontalFlip`, `RandomRotation` and `ColorJitter`. Brightness varies
    by 32/255, contrast and saturation by a half, hue by a fifth of the circle to either side: the ranges of the
    Inception preprocessing; the paper gives none.
    """
    places = np.asarray(positions).astype(np.uint64)[:, None]
    numbers = np.arange(NUMBERS, dtype=np.uint64)[None]
    uniform = (splitmix64(seed, TAG, places, numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    crops, (x, y, flip, turn, degrees, change) = uniform[:, : 2 * ATTEMPTS], uniform[:, 2 * ATTEMPTS : -8].T
    orders = np.argsort(uniform[:, -8:-4], axis=1, kind="stable").astype(np.uint8)
    swing = 2 * uniform[:, -4:] - 1
    factors = np.array([1.0, 1.0, 1.0, 0.0]) + swing * (BRIGHTNESS, CONTRAST, SATURATION, HUE)
    return Changes(
        _crops(part, crops, x, y, np.asarray(widths, np.float64), np.asarray(heights, np.float64)),
        flip < part.flip_share,
        (turn < part.rotation_share) & bool(part.rotation_degrees),
        ((2 * degrees - 1) * part.rotation_degrees).astype(np.float32),
        change < part.colour_jitter_share,
        orders,
        factors.astype(np.float32),
    )


def _crops(
    part: Augmentation,
    uniform: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    widths: NDArray[np.float64],
    heights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the boxes of crops, float64[n, 4]; `uniform` has area and aspect of each attempt."""
    (least, most), (narrow, wide) = part.crop_area, part.aspect
    area = (widths * heights)[:, None] * (least + (most - least) * uniform[:, ::2])
    aspect = np.exp(np.log(narrow) + (np.log(wide) - np.log(narrow)) * uniform[:, 1::2])
    width, height = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (width >= 1) & (width <= widths[:, None]) & (height >= 1) & (height <= heights[:, None])
    first = fits.argmax(axis=1)[:, None]
    found = fits.any(axis=1)
    shape = widths / heights
    in_middle = np.stack(
        [
            np.where(shape > wide, np.rint(heights * wide), widths),
            np.where(shape < narrow, np.rint(widths / narrow), heights),
        ]
    )
    width = np.where(found, np.take_along_axis(width, first, 1)[:, 0], np.clip(in_middle[0], 1, widths))
    height = np.where(found, np.take_along_axis(height, first, 1)[:, 0], np.clip(in_middle[1], 1, heights))
    left = np.where(found, np.floor(x * (widths - width + 1)), (widths - width) // 2)
    top = np.where(found, np.floor(y * (heights - height + 1)), (heights - height) // 2)
    return np.stack([left, top, left + width, top + height], axis=1)


def augment(images: NDArray[np.uint8], changes: Changes, compiled: bool) -> None:
    """Rotate and change the colours of uint8[n, size, size, 3] in place.

    The compiled extension computes what torchvision's transforms v2 do; a value differs by at most 1 after a rotation
    or one change of colours, except on the few pixels whose hue is rounded to another side of a sixth of the circle.
    """
    if compiled and native is not None:
        turned, changed = changes.turned.astype(np.uint8), changes.changed.astype(np.uint8)
        native.augment(images, turned, changes.degrees, changed, changes.orders, changes.factors)
        return
    for at in np.flatnonzero(changes.turned | changes.changed).tolist():
        image = torch.from_numpy(images[at]).permute(2, 0, 1)
        if changes.turned[at]:
            angle = float(changes.degrees[at])
            image = functional.rotate(image, angle, v2.InterpolationMode.BILINEAR, fill=0)
        if changes.changed[at]:
            for number in changes.orders[at].tolist():
                image = _COLOURS[number](image, float(changes.factors[at, number]))
        images[at] = image.permute(1, 2, 0).numpy()


_COLOURS = (
    functional.adjust_brightness,
    functional.adjust_contrast,
    functional.adjust_saturation,
    functional.adjust_hue,
)
