"""AVIF: check the container, then decode every pixel of the first frame.

AV1 has no checksums: damage inside the image data is often not detected, and a file whose bytes are zeroed there
decodes to a wrong picture. Of a sequence the first frame is used, of a file with several images the primary one. The
turn is that of the file's `irot` and `imir` properties; by HEIF's rule the orientation in its EXIF is not applied.
Source: AV1 Image File Format 1.1; ISO/IEC 23008-12, 6.5.10 and 6.5.12.
"""

from __future__ import annotations

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from mlimg_build.images import exif
from mlimg_build.images.decoders import require_decoder
from mlimg_build.images.formats import av1_headers, iso_boxes
from mlimg_build.images.image_info import ImageInfo, proved, within
from mlimg_build.images.pillow import load
from mlimg_build.images.status import BadImage, Status

__all__ = ["decode_fully", "pixels", "recognised"]

_BRANDS = {b"avif", b"avis"}
_MOST_TRACKS = 8  # colour, alpha and what else there may be


def recognised(data: bytes) -> bool:
    """Return whether the file states one of AVIF's brands."""
    return bool(_BRANDS & iso_boxes.brands(data))


def decode_fully(data: bytes, max_pixels: int) -> ImageInfo:
    """Check that the AVIF file has all its bytes and that its first frame decodes.

    Raises:
        BadImage: truncated, corrupt or too_many_pixels.
        DecoderMissing: if this Pillow has no libavif.
    """
    require_decoder("avif")
    iso_boxes.whole(data)
    _within(data, max_pixels)
    image = _opened(data, max_pixels)
    turn = exif.orientation(image.info.get("exif", b""))
    return proved("avif", *image.size, image.mode, turn)


def pixels(data: bytes) -> Image.Image:
    """Return the first frame of an AVIF that `decode_fully` accepted, as it is stored."""
    return _opened(data, 1 << 62)


def _opened(data: bytes, max_pixels: int) -> Image.Image:
    return load(AvifImageFile, iso_boxes.without_exif(data), max_pixels)


def _within(data: bytes, max_pixels: int) -> None:
    """Check every size that the boxes and the AV1 data state."""
    for box in iso_boxes.nested(data, b"ispe"):
        within(*iso_boxes.size_of(data, box), max_pixels)
    coded = [item for item in iso_boxes.items(data) if item.kind == b"av01"]
    if sum(stop - start for item in coded for start, stop in item.extents) > len(data):
        raise BadImage.because(Status.corrupt, "the AVIF's images share their bytes")
    streams = [b"".join(data[start:stop] for start, stop in item.extents) for item in coded]
    streams += [data[start:] for start in iso_boxes.first_samples(data)[:_MOST_TRACKS]]
    for stream in streams:
        for width, height in av1_headers.frame_sizes(stream):
            within(width, height, max_pixels)
