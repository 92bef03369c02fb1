"""Find the format of a file, and check that it decodes fully."""

from __future__ import annotations

from mlimg_build.images import gif, jpeg, png, webp
from mlimg_build.images import jpeg_segments as markers
from mlimg_build.images.image_info import ImageInfo
from mlimg_build.images.status import BadImage, Status

__all__ = ["decode_fully"]

_FOREIGN = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"%PDF", "PDF"),
)


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Decode all of the image in `data`: every pixel of a JPEG, PNG or WebP, of an animation the first frame.

    Memory stays within the decoded size of `max_pixels`, because sizes are compared before pixels are
    allocated. No warning is issued and no global setting is read or changed, so threads can call it.

    >>> decode_fully(b"", 1_000_000)
    Traceback (most recent call last):
    ...
    mlimg_build.images.status.BadImage: error[empty]: the file has no bytes
    hint: fetch or copy the file again

    Raises:
        BadImage: for any other bytes; its status is empty, truncated, corrupt, unrecognised or too_many_pixels.
    """
    if not data:
        raise BadImage.because(Status.empty, "the file has no bytes")
    if data.startswith(markers.SIGNATURE):
        return jpeg.decode_fully(data, max_pixels)
    if data.startswith(png.SIGNATURE):
        return png.decode_fully(data, max_pixels)
    if data.startswith(gif.SIGNATURES):
        return gif.decode_fully(data, max_pixels)
    if webp.recognised(data):
        return webp.decode_fully(data, max_pixels)
    raise BadImage.because(Status.unrecognised, _guess(data))


def _guess(data: bytes) -> str:
    """Return a sentence on what a file that is no readable image seems to be."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"<", b"{"}:
        return "the file is a page of text (HTML, XML or JSON) and no image"
    if not any(data[:64]):
        return "the file begins with zeros and no image"
    if data[4:8] == b"ftyp":
        return "AVIF, HEIC and video are not read"
    for signature, name in _FOREIGN:
        if data.startswith(signature):
            return f"{name} is not read"
    return "the first bytes belong to no image format that is read"
