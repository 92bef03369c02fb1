"""HEIC: check the container, then decode every pixel of the primary image with pillow-heif (the extra `heif`).

HEVC data have no checksums: damage inside them is often not detected. Of several images the primary one is used.
libheif applies the file's `irot` and `imir` properties itself; by HEIF's rule the orientation in its EXIF is not
applied. 10 and 12 bits a sample become 8. HEIF files that hold other codecs than HEVC are not read.
Source: ISO/IEC 23008-12, 6.5.3, 6.5.10, 6.5.12 and annex B.
"""

from __future__ import annotations

from PIL import Image

from mlimg_build.images.decoders import missing, require_decoder
from mlimg_build.images.formats import iso_boxes
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import explained
from mlimg_build.images.status import BadImage, Status

__all__ = ["decode_fully", "pixels", "recognised"]

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
_CODED = {b"hvc1", b"hev1"}


def recognised(data: bytes) -> bool:
    """Return whether the file states one of HEIF's brands."""
    return bool(_BRANDS & iso_boxes.brands(data))


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the HEIC file has all its bytes and that its primary image decodes.

    Raises:
        BadImage: truncated, corrupt, unrecognised or too_many_pixels.
        DecoderMissing: if pillow-heif is not installed.
    """
    require_decoder("heif")
    iso_boxes.whole(data)
    for box in iso_boxes.nested(data, b"ispe"):
        within(*iso_boxes.size_of(data, box), max_pixels)
    kinds = {item.kind for item in iso_boxes.items(data)}
    if not _CODED & kinds:
        raise BadImage.because(Status.unrecognised, "a HEIF file without a still image in HEVC is not read")
    image = _decoded(data, max_pixels)
    return proved("heif", *image.size, image.mode, orientation=1)


def pixels(data: bytes) -> Image.Image:
    """Return the primary image of a HEIC that `decode_fully` accepted, upright."""
    return _decoded(data, 1 << 62)


def _decoded(data: bytes, max_pixels: int) -> Image.Image:
    try:
        from pillow_heif import HeifFile  # noqa: PLC0415  an optional package
    except ImportError as error:  # it is there and does not load
        raise missing("heif") from error
    with explained("HEIC"):
        file = HeifFile(iso_boxes.without_exif(data))
        width, height = file.size
        within(width, height, max_pixels)
        image: Image.Image = file.to_pillow()
    return image
