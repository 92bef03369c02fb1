"""GIF: check and decode the first frame.

Only the frame that is used is checked: a GIF whose second frame is truncated, or whose trailer is missing,
is accepted. Source: CompuServe GIF89a, 17 to 27.
"""

from __future__ import annotations

import struct

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURES", "decode_fully", "pixels"]

SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _IMAGE = 0x21, 0x2C
_CONTROL = 0xF9


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the first frame of the GIF is complete, down to the end of its data blocks, and decodes.

    The size is that of the screen, enlarged to hold the frame if the frame extends beyond it.

    Raises:
        BadImage: truncated, corrupt or too_many_pixels.
    """
    width, height, plain = _first_frame(data, max_pixels)
    return proved("gif", width, height, load(GifImageFile, plain).mode, orientation=1)


def pixels(data: bytes) -> Image.Image:
    """Return the first frame of a GIF that `decode_fully` accepted."""
    return load(GifImageFile, _first_frame(data, max_pixels=1 << 62)[2])


def _first_frame(data: bytes, max_pixels: int) -> tuple[int, int, bytes]:
    """Return width, height and a GIF that holds the first frame only."""
    if len(data) < 13:
        raise _cut()
    screen_width, screen_height, flags = struct.unpack_from("<HHB", data, 6)
    at = start = 13 + _table(flags)
    control = b""
    while (kind := _byte(data, at)) == _EXTENSION:
        end = _blocks(data, at + 2)
        if _byte(data, at + 1) == _CONTROL:
            control = data[at:end]
        at = end
    if kind != _IMAGE:
        raise BadImage.because(Status.corrupt, f"the GIF has no image at byte {at} where one must begin")
    if at + 10 > len(data):
        raise _cut()
    left, top, wide, high, local = struct.unpack_from("<HHHHB", data, at + 1)
    width, height = max(screen_width, left + wide), max(screen_height, top + high)
    within(wide, high, max_pixels)
    within(width, height, max_pixels)
    end = _blocks(data, at + 10 + _table(local) + 1)
    if max(width, height) > 0xFFFF:
        raise BadImage.because(Status.corrupt, "the GIF's first frame lies outside any screen")
    screen = b"GIF89a" + struct.pack("<HH", width, height)
    return width, height, b"".join([screen, data[10:start], control, data[at:end], b";"])


def _table(flags: int) -> int:
    """Return the length in bytes of the colour table that the flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int) -> int:
    """Return the position after a chain of data blocks."""
    while size := _byte(data, at):
        at += 1 + size
    return at + 1


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise _cut()
    return data[at]


def _cut() -> BadImage:
    return BadImage.because(Status.truncated, "the GIF ends inside its first frame")
