"""Decode an image to the pixels as displayed, for a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlimg_build.images.encoding import rgb
from mlimg_build.images.formats import jpeg
from mlimg_build.images.formats import jpeg_segments as markers
from mlimg_build.images.full_decode import decode_fully
from mlimg_build.images.image_info import ImageInfo, proved

__all__ = ["decode"]

MAX_PIXELS = 100_000_000


def decode(data: bytes, least: int | None = None, *, trusted: bool = False) -> NDArray[np.uint8]:
    """Return the image in `data` as uint8[height, width, 3]: RGB, upright by its EXIF orientation, never enlarged.

    With `least`, a JPEG whose short side is at least twice that is reduced in the DCT domain to a short side that is
    still at least `least` pixels: several times as fast. Greyscale fills all three channels, transparency is composited
    on white, colour profiles are not applied.

    The image is first checked by `decode_fully`, unless it is `trusted` because that was done when it was stored.

    Raises:
        BadImage: if the image does not decode.
    """
    proof = _glance(data) if trusted else decode_fully(data, MAX_PIXELS)
    width, height = proof.width, proof.height
    if least is not None:
        share = min(1.0, least / min(width, height))
        width, height = max(1, round(width * share)), max(1, round(height * share))
    return rgb(data, proof, width, height)


def _glance(data: bytes) -> ImageInfo:
    """Return the image info from a JPEG's header alone; other formats are decoded fully."""
    if not data.startswith(markers.SIGNATURE):
        return decode_fully(data, MAX_PIXELS)
    head = markers.header(data)
    jpeg.refuse_scans(data, head)
    mode = "L" if head.frame.components == 1 else "RGB"
    return proved("jpeg", head.frame.width, head.frame.height, mode, head.orientation)
