"""WebP: check the whole container, then decode every pixel of the first frame.

libwebp refuses to open a truncated animation, so unlike a GIF the file must be complete. WebP has no
checksums: damage inside the image data is often not detected, and long runs of zeros occur in intact files.
Source: RFC 9649, 2 and 3.
"""

from __future__ import annotations

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from mlimg_build.images import exif
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["decode_fully", "pixels", "recognised"]

HEADERS = {b"VP8X": 10, b"VP8L": 5, b"VP8 ": 10}  # bytes of a first chunk that say how big the image is


def recognised(data: bytes) -> bool:
    """Return whether the bytes begin as a WebP file does."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the WebP file is complete and that its first frame decodes.

    Bytes after the end that the container states are allowed.

    Raises:
        BadImage: truncated, corrupt or too_many_pixels.
    """
    width, height = _size(data)
    within(width, height, max_pixels)
    turn = _orientation(data)
    image = load(WebPImageFile, data[: _end(data)])
    if image.size != (width, height):
        raise BadImage.because(Status.corrupt, "the WebP's header states another size than its image has")
    return proved("webp", width, height, image.mode, turn)


def pixels(data: bytes) -> Image.Image:
    """Return the first frame of a WebP that `decode_fully` accepted, as it is stored."""
    return load(WebPImageFile, data[: _end(data)])


def _end(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _size(data: bytes) -> tuple[int, int]:
    """Return width and height of the canvas, which libwebp allocates before it reads a pixel.

    A lossless image of one colour is a header and a few bits, 28 bytes in all.

    Raises:
        BadImage: truncated or corrupt.
    """
    head, kind = data[20:30], data[12:16]
    if len(data) < 20 + HEADERS.get(kind, 0):
        raise BadImage.because(Status.truncated, "the WebP ends inside its header")
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L" and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        sides = (int.from_bytes(head[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        return next(sides), next(sides)
    raise BadImage.because(Status.corrupt, "the WebP does not begin with an image")


def _orientation(data: bytes) -> int:
    """Return the orientation in the EXIF chunk. Raises `BadImage` if a chunk is not completely inside the file."""
    end = _end(data)
    if end > len(data):  # libwebp refuses a file that lacks only the padding of its last chunk, too
        raise BadImage.because(Status.truncated, "the WebP is shorter than its header states")
    turn, at = 1, 12
    while at + 8 <= end:
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise BadImage.because(Status.truncated, f"the WebP ends inside its chunk at byte {at}")
        if at + 8 + size > end:
            raise BadImage.because(
                Status.corrupt, f"the WebP's chunk at byte {at} is longer than the file states"
            )
        if name == b"EXIF":
            turn = exif.orientation(data[at + 8 : at + 8 + size])
        at += 8 + size + (size & 1)
    return turn
