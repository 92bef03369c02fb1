"""Crops of images at the size that a network takes.

Where the compiled extension was built, a JPEG is decoded no further than its crop needs, without the GIL: at a smaller
scale, without the columns and rows around it. Everything else is decoded whole. Resizing is Pillow's antialiased
bilinear one, bit for bit, in both cases; what differs is the scale at which a JPEG is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlimg_build.images.decoding import MAX_PIXELS, decode
from mlimg_build.images.formats import jpeg_segments as markers
from mlimg_build.images.full_decode import decode_fully
from mlimg_build.images.image_info import within

__all__ = [
    "DECODERS",
    "SHARPNESS",
    "Decoder",
    "OpenImage",
    "available_decoder",
    "decode_crops",
    "native",
    "open_image",
]

Decoder = Literal["partial", "whole"]
DECODERS: tuple[Decoder, ...] = ("partial", "whole")
SHARPNESS = 1.25
"""A JPEG is decoded at a half, a quarter or an eighth if its crop then still has this many times the output's pixels.

With 1.0, crops of 1024 x 768 photographs decode 1.14 times as fast, and the median PSNR against a full decode is 49 dB
instead of exact equality; with 2.0, they take 1.09 times as long (BENCHMARKS.md).
"""

MIRROR, FLIP, SWAP = 1, 2, 4  # native.h
_LIES = {
    1: 0,
    2: MIRROR,
    3: MIRROR | FLIP,
    4: FLIP,
    5: SWAP,
    6: FLIP | SWAP,
    7: MIRROR | FLIP | SWAP,
    8: MIRROR | SWAP,
}


def _loaded() -> Any:
    try:
        return import_module("mlimg_build.images._native")
    except ImportError:  # not built, or its library is gone
        return None


native: Any = _loaded()
"""The compiled extension, None where it was not built."""


def available_decoder() -> Decoder:
    """Return "partial" where the compiled extension is, else "whole"."""
    return "whole" if native is None else "partial"


@dataclass(frozen=True, slots=True)
class OpenImage:
    """An image of which a crop is wanted: its size as displayed, and its file, or its pixels if they are needed whole.

    `orientation` is that of the file, 1 to 8; `pixels` are upright, uint8[height, width, 3].
    """

    width: int
    height: int
    data: bytes | memoryview = b""
    orientation: int = 1
    pixels: NDArray[np.uint8] | None = None


def open_image(data: bytes | memoryview, decoder: Decoder, *, trusted: bool = False) -> OpenImage:
    """Return the image in `data`, which must stay as it is while the result is used.

    It is first checked by `decode_fully`, unless that was done when it was stored: `trusted`. A JPEG is not decoded
    yet.

    Raises:
        BadImage: if the image does not decode, or has more pixels than `MAX_PIXELS`.
        DecoderMissing: if the decoder of its format is not installed.
    """
    if not trusted:
        decode_fully(bytes(data), MAX_PIXELS)
    if data[: len(markers.SIGNATURE)] == markers.SIGNATURE:
        found = native.frames((data,))[0] if native is not None else None
        width, height, exif = found or _frame(bytes(data))
        within(width, height, MAX_PIXELS)
        turn = markers.header(bytes(data)).orientation if exif else 1
        return OpenImage(*((height, width) if turn >= 5 else (width, height)), data, turn)
    pixels = decode(bytes(data), trusted=True)
    return OpenImage(pixels.shape[1], pixels.shape[0], pixels=pixels)


def decode_crops(
    images: Sequence[OpenImage],
    boxes: NDArray[np.float64],
    mirrored: NDArray[np.bool_],
    output: NDArray[np.uint8],
    decoder: Decoder,
    *,
    bounded: bool,
) -> None:
    """Fill `output` uint8[images, size, size, 3] with a crop of each image, resized and mirrored where `mirrored`.

    `boxes` float64[images, 4] are left, top, right, bottom in pixels of the image as displayed. If `bounded`, pixels
    outside a box do not count, as if it had been cut out before; otherwise those that the filter reaches do.

    Raises:
        BadImage: if an image does not decode.
    """
    if native is not None and decoder == "partial":
        lies = np.array(
            [_lie(image.orientation, flip) for image, flip in zip(images, mirrored.tolist(), strict=True)]
        )
        stored = _as_stored(images, boxes)
        files = [image.data if image.pixels is None else None for image in images]
        failed = native.decode(files, stored, lies.astype(np.uint8), output, bounded, SHARPNESS)
        for at, _ in failed:  # what decodes files whole gives pixels of no meaning where libjpeg gives up
            decode_fully(bytes(images[at].data), MAX_PIXELS)
        left = sorted({at for at, _ in failed} | {at for at, file in enumerate(files) if file is None})
    else:
        left = list(range(len(images)))
    for at in left:
        output[at] = _from_whole(images[at], boxes[at].tolist(), output.shape[1], bounded)
        if mirrored[at]:
            output[at] = output[at, :, ::-1].copy()


def _from_whole(image: OpenImage, box: list[float], size: int, bounded: bool) -> NDArray[np.uint8]:
    """Return the crop of an image that is decoded whole, of a JPEG at a half of its size or less if that suffices."""
    pixels = image.pixels
    if pixels is None:
        share = SHARPNESS * size / min(box[2] - box[0], box[3] - box[1])
        pixels = decode(bytes(image.data), math.ceil(share * min(image.width, image.height)), trusted=True)
    height, width = pixels.shape[:2]
    across, down = width / image.width, height / image.height
    left, top, right, bottom = (side * scale for side, scale in zip(box, (across, down) * 2, strict=True))
    x, y, end_x, end_y = 0, 0, width, height
    if bounded:
        x, y = math.floor(left), math.floor(top)
        end_x, end_y = min(width, math.ceil(right)), min(height, math.ceil(bottom))
    cut = Image.fromarray(np.ascontiguousarray(pixels[y:end_y, x:end_x]))
    within = (left - x, top - y, min(right - x, cut.width), min(bottom - y, cut.height))
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR, box=within))


def _lie(orientation: int, mirrored: bool) -> int:
    """Return how a crop of a stored image lies in the output."""
    lie = _LIES[orientation]
    if mirrored:
        lie ^= FLIP if lie & SWAP else MIRROR
    return lie


def _as_stored(images: Sequence[OpenImage], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the boxes in pixels of the images as they are stored, before the EXIF orientation is applied."""
    stored = np.ascontiguousarray(boxes, np.float64)
    turned = [at for at, image in enumerate(images) if image.orientation != 1]
    if turned:
        stored = stored.copy()
    for at in turned:
        image, lie = images[at], _LIES[images[at].orientation]
        left, top, right, bottom = boxes[at].tolist()
        if lie & SWAP:
            left, top, right, bottom = top, left, bottom, right
        width, height = (image.height, image.width) if lie & SWAP else (image.width, image.height)
        if lie & MIRROR:
            left, right = width - right, width - left
        if lie & FLIP:
            top, bottom = height - bottom, height - top
        stored[at] = left, top, right, bottom
    return stored


def _frame(data: bytes) -> tuple[int, int, bool]:
    frame = markers.header(data).frame
    return frame.width, frame.height, True
