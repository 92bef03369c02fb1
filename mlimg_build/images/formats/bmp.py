"""BMP: check the header and that every row is there, then decode.

BMP has no checksums: a changed pixel is another picture. Run-length encoded images are walked first, because a
decoder takes memory for what a run states. Images of embedded JPEG or PNG data, for printers, are not read.
Source: Microsoft, Bitmap Storage (BITMAPCOREHEADER to BITMAPV5HEADER) and Bitmap Compression.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile

from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURE", "decode_fully", "pixels", "recognised"]

SIGNATURE = b"BM"
_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_PLAIN, _RLE8, _RLE4, _FIELDS = 0, 1, 2, 3
_DEPTHS = {_PLAIN: {1, 4, 8, 16, 24, 32}, _RLE8: {8}, _RLE4: {4}, _FIELDS: {16, 24, 32}}


@dataclass(frozen=True, slots=True)
class _Header:
    """What a BMP states: `start` is where its pixels begin, `depth` the bits of one, `packing` its compression."""

    width: int
    height: int
    depth: int
    packing: int
    start: int


def recognised(data: bytes) -> bool:
    """Return whether the bytes begin as a BMP does; two letters alone would be too many texts."""
    return data[:2] == SIGNATURE and (len(data) < 18 or int.from_bytes(data[14:18], "little") in _HEADERS)


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the BMP has all its rows and decodes.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
    """
    head = _header(data)
    within(head.width, head.height, max_pixels)
    if head.packing in {_RLE8, _RLE4}:
        _runs_inside(data, head)
    elif head.start + (head.width * head.depth + 31) // 32 * 4 * head.height > len(data):
        raise BadImage.because(Status.truncated, "the BMP holds fewer rows than its header states")
    image = load(BmpImageFile, data, max_pixels, foreign="Unsupported")
    if image.size != (head.width, head.height):
        raise BadImage.because(Status.corrupt, "the BMP's header states no possible size")
    return proved("bmp", *image.size, image.mode, orientation=1)


def pixels(data: bytes) -> Image.Image:
    """Return the pixels of a BMP that `decode_fully` accepted."""
    return load(BmpImageFile, data)


def _header(data: bytes) -> _Header:
    size = int.from_bytes(data[14:18], "little")
    if len(data) < 26 or len(data) < 14 + size:
        raise BadImage.because(Status.truncated, "the BMP ends inside its header")
    start = int.from_bytes(data[10:14], "little")
    if size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        packing = _PLAIN
    else:
        width, height, _, depth, packing = struct.unpack_from("<iiHHI", data, 18)
    if depth not in _DEPTHS.get(packing, ()):
        reason = f"a BMP of {depth} bits a pixel and compression {packing} is not read"
        raise BadImage.because(Status.unrecognised, reason)
    if 0 < start < 14 + size:
        raise BadImage.because(Status.corrupt, "the BMP's pixels begin inside its header")
    if start in {0, 14 + size} and depth <= 8:  # so some writers, which have a palette all the same
        colours = 0 if size == 12 or len(data) < 50 else int.from_bytes(data[46:50], "little")
        start = 14 + size + (3 if size == 12 else 4) * (colours or 1 << depth)
    return _Header(width, abs(height), depth, packing, max(start, 14 + size))


def _runs_inside(data: bytes, head: _Header) -> None:
    """Check that the runs of an RLE image stay inside it and that it ends: with its end mark, or after its last pixel.

    Raises:
        BadImage: truncated if the file ends before, corrupt if a run leaves the image.
    """
    x, y, at = 0, 0, head.start
    last = head.height - 1
    while y < last or x < head.width:
        if at + 2 > len(data):
            raise BadImage.because(Status.truncated, "the BMP ends before its last pixel")
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            x += count
        elif value == 0:  # end of line
            x, y = 0, y + 1
        elif value == 1:  # end of image
            return
        elif value == 2:
            if at + 2 > len(data):
                raise BadImage.because(Status.truncated, "the BMP ends before its last pixel")
            x, y = x + data[at], y + data[at + 1]
            at += 2
        else:
            x += value
            size = value if head.packing == _RLE8 else (value + 1) // 2
            at += size + (size & 1)
            if at > len(data):
                raise BadImage.because(Status.truncated, "the BMP ends before its last pixel")
        if x > head.width + 1 or y > head.height:
            raise BadImage.because(Status.corrupt, "the BMP's runs leave its image")
