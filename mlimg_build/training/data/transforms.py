"""What evaluation sees of an image, the scale of pixels, and seeds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mlimg_build.training.data.shuffle_order import splitmix64

__all__ = ["HALF", "KEPT", "Triple", "normalise", "seeded", "viewing_box"]

KEPT = 0.875  # share of the short side that an evaluation's centre crop keeps: 224 of 256, as is usual for ImageNet
Triple = tuple[float, float, float]
HALF: Triple = (0.5, 0.5, 0.5)  # as mean and standard deviation: scales pixels to [-1, 1], as published


def viewing_box(width: int, height: int, size: int) -> tuple[float, float, float, float]:
    """Return the centre crop for evaluation and use: left, top, right, bottom in pixels of the image.

    It is what torchvision's `Resize(round(size / 0.875))` and `CenterCrop(size)` keep, as a box of the image that is
    resized to size x size pixels at once; the long side is rounded down and the place of the crop to the nearest pixel.

    >>> viewing_box(512, 256, 224)
    (144.0, 16.0, 368.0, 240.0)
    """
    side = round(size / KEPT)
    short = min(width, height)
    box = []
    for length in (width, height):
        resized = side if length == short else int(side * length / short)
        first = int(round((resized - size) / 2.0))  # noqa: RUF046  as torchvision has it
        box.append((first * length / resized, (first + size) * length / resized))
    (left, right), (top, bottom) = box
    return left, top, right, bottom


def normalise(images: Tensor, mean: Triple = HALF, std: Triple = HALF) -> Tensor:
    """Return (pixels / 255 - mean) / std by channel, float32, of uint8[n, 3, h, w]; in [-1, 1] by default."""
    wide = images.float()
    if len({*mean}) == len({*std}) == 1:  # scalars need no copy to a GPU, and round as in earlier versions
        return wide.sub_(255 * mean[0]).div_(255 * std[0])
    by_channel = (255 * torch.tensor([mean, std], dtype=wide.dtype)).to(wide.device)[..., None, None]
    return wide.sub_(by_channel[0]).div_(by_channel[1])


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed torch's CPU generator from `key` inside the block; restore its earlier state afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(int(splitmix64(*key)) >> 1)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
