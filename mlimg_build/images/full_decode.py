"""Find the format of a file, and check that it decodes fully."""

from __future__ import annotations

from collections.abc import Callable

from mlimg_build.images.formats import avif, bmp, gif, heif, jpeg, jpeg2000, jpeg_segments, png, tiff, webp
from mlimg_build.images.image_info import ImageInfo
from mlimg_build.images.status import BadImage, Status

__all__ = ["FORMATS", "decode_fully"]

FORMATS = ("avif", "bmp", "gif", "heif", "jpeg", "jpeg2000", "png", "tiff", "webp")
"""The formats that are read, as `ImageInfo.format` has them; each new one is added here."""

_SIGNATURES: tuple[tuple[tuple[bytes, ...], Callable[[bytes, int], ImageInfo]], ...] = (
    ((jpeg_segments.SIGNATURE,), jpeg.decode_fully),
    ((png.SIGNATURE,), png.decode_fully),
    (gif.SIGNATURES, gif.decode_fully),
    (tiff.SIGNATURES, tiff.decode_fully),
    (jpeg2000.SIGNATURES, jpeg2000.decode_fully),
)
_RECOGNISED = (
    (webp.recognised, webp.decode_fully),
    (avif.recognised, avif.decode_fully),
    (heif.recognised, heif.decode_fully),
    (bmp.recognised, bmp.decode_fully),
)
_FOREIGN = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop's PSD"),
    (b"%PDF", "PDF"),
)


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Decode all of the image in `data`: every pixel, of an animation the first frame, of several pages the first.

    Memory stays within the decoded size of `max_pixels`, because sizes are compared before pixels are
    allocated. No warning is issued and no global setting is read or changed, so threads can call it.

    >>> decode_fully(b"", 1_000_000)
    Traceback (most recent call last):
    ...
    mlimg_build.images.status.BadImage: error[empty]: the file has no bytes
    hint: fetch or copy the file again

    Raises:
        BadImage: for any other bytes; its status is empty, truncated, corrupt, unrecognised or too_many_pixels.
        DecoderMissing: if the bytes begin as those of a format whose decoder is not installed.
    """
    if not data:
        raise BadImage.because(Status.empty, "the file has no bytes")
    for signatures, decoded in _SIGNATURES:
        if data.startswith(signatures):
            return decoded(data, max_pixels)
    for recognised, decoded in _RECOGNISED:
        if recognised(data):
            return decoded(data, max_pixels)
    raise BadImage.because(Status.unrecognised, _guess(data))


def _guess(data: bytes) -> str:
    """Return a sentence on what a file that is no readable image seems to be."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"<", b"{"}:
        return "the file is a page of text (HTML, XML or JSON) and no image"
    if not any(data[:64]):
        return "the file begins with zeros and no image"
    if data[4:8] == b"ftyp":
        return "video, and other files of its container, are not read"
    for signature, name in _FOREIGN:
        if data.startswith(signature):
            return f"{name} is not read"
    return "the first bytes belong to no image format that is read"
