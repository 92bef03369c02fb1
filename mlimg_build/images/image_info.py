"""What is known of an image after it was decoded fully."""

from __future__ import annotations

from dataclasses import dataclass

from mlimg_build.images.status import BadImage, Status

__all__ = ["ImageInfo", "proved", "within"]


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The format, size and mode of an image that decodes fully.

    `format` is one of `FORMATS`; `width` and `height` are pixels as displayed, that is after the `orientation` of its
    EXIF, or of the like (1 to 8, 1 if there is none); `mode` is Pillow's name for the pixels as they are in the file.
    """

    format: str
    width: int
    height: int
    mode: str
    orientation: int


def within(width: int, height: int, max_pixels: int) -> None:
    """Check that the size is at least one pixel and at most `max_pixels`, before that much is allocated.

    >>> within(640, 480, 307_200)
    >>> within(641, 480, 307_200)
    Traceback (most recent call last):
    ...
    mlimg_build.images.status.BadImage: error[too-many-pixels]: 641 x 480 pixels exceed the limit of 307200
    hint: raise max_pixels if it is meant

    Raises:
        BadImage: corrupt for a side of zero, too_many_pixels above the limit.
    """
    if width < 1 or height < 1:
        raise BadImage.because(Status.corrupt, f"the image is {width} x {height} pixels large")
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels exceed the limit of {max_pixels}"
        raise BadImage.because(Status.too_many_pixels, reason)


def proved(name: str, width: int, height: int, mode: str, orientation: int) -> ImageInfo:
    """Return the info of a file with `width` x `height` pixels as stored; orientations 5 to 8 swap the sides.

    >>> proved("jpeg", 640, 480, "RGB", 6)
    ImageInfo(format='jpeg', width=480, height=640, mode='RGB', orientation=6)
    """
    if orientation >= 5:
        width, height = height, width
    return ImageInfo(name, width, height, mode, orientation)
