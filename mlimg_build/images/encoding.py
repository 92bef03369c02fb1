"""Re-encode images as smaller JPEGs.

The result depends on the bytes, the two settings and the versions of libjpeg-turbo and Pillow, and on
nothing else.
"""

from __future__ import annotations

import numpy as np
import PIL
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, features

from mlimg_build.images.formats import avif, bmp, gif, heif, jpeg, jpeg2000, png, tiff, webp
from mlimg_build.images.image_info import ImageInfo
from mlimg_build.images.status import BadImage, Status

__all__ = ["encode", "encoder", "rgb"]

_Turn = Image.Transpose
_TURNS = {
    2: _Turn.FLIP_LEFT_RIGHT,
    3: _Turn.ROTATE_180,
    4: _Turn.FLIP_TOP_BOTTOM,
    5: _Turn.TRANSPOSE,
    6: _Turn.ROTATE_270,
    7: _Turn.TRANSVERSE,
    8: _Turn.ROTATE_90,
}
_READERS = {
    "png": png.pixels,
    "gif": gif.pixels,
    "webp": webp.pixels,
    "bmp": bmp.pixels,
    "tiff": tiff.pixels,
    "avif": avif.pixels,
    "jpeg2000": jpeg2000.pixels,
    "heif": heif.pixels,
}
_MAX_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION


def encoder() -> str:
    """Return the versions that the bytes of `encode` depend on; part of the key of whatever holds such bytes."""
    turbo = features.version("libjpeg_turbo")
    return f"pillow {PIL.__version__}, libjpeg-turbo {turbo}, simplejpeg {simplejpeg.__version__}"


def encode(data: bytes, proof: ImageInfo, short_side: int, quality: int) -> tuple[bytes, int, int]:
    """Return a checked image as a JPEG whose short side is at most `short_side` pixels, with its width and height.

    The EXIF orientation is applied and no metadata are kept. An image is never enlarged; the long side is
    rounded to the nearest pixel. Greyscale stays greyscale, everything else becomes RGB with colours at
    half resolution (4:2:0). 16-bit samples keep their upper byte, transparency is composited on white, CMYK
    is read as Adobe writes it (in JPEGs), colour profiles are not applied. Resizing is bicubic with antialiasing; a
    JPEG is first decoded at a half of its size or less if that is still twice as large as the result.

    `quality` is libjpeg's, 1 to 100.

    Raises:
        ValueError: for settings out of range.
        BadImage: too_many_pixels if a side is longer than a JPEG can be.
    """
    if short_side < 1 or not 1 <= quality <= 100:
        raise ValueError("short_side must be positive and quality from 1 to 100")
    width, height = _fitted(proof.width, proof.height, short_side)
    if max(width, height) > _MAX_SIDE:
        reason = f"a side of {max(width, height)} pixels is more than the {_MAX_SIDE} of a JPEG"
        raise BadImage.because(Status.too_many_pixels, reason)
    lying = (height, width) if proof.orientation >= 5 else (width, height)
    image = _decoded(data, proof, lying)
    if image.size != lying:
        image = image.resize(lying, Image.Resampling.BICUBIC)
    if proof.orientation in _TURNS:
        image = image.transpose(_TURNS[proof.orientation])
    array: NDArray[np.uint8] = np.ascontiguousarray(image).reshape(height, width, -1)
    space, sampling = ("GRAY", "Gray") if image.mode == "L" else ("RGB", "420")
    return bytes(simplejpeg.encode_jpeg(array, quality, space, sampling)), width, height


def rgb(data: bytes, proof: ImageInfo, min_width: int, min_height: int) -> NDArray[np.uint8]:
    """Return a checked image upright, uint8[height, width, 3].

    A JPEG is decoded at the smallest scale of one half or less that holds `min_width` x `min_height` (as displayed), or
    else at full size; other formats always at full size.
    """
    least = (min_height, min_width) if proof.orientation >= 5 else (min_width, min_height)
    if proof.format == "jpeg":
        array = jpeg.pixels(data, proof.mode == "L", *least)
        if proof.orientation in _TURNS:
            image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
            array = np.asarray(image.transpose(_TURNS[proof.orientation]))
        array = array.reshape(*array.shape[:2], -1)
        return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    image = _decoded(data, proof, (1, 1)).convert("RGB")
    if proof.orientation in _TURNS:
        image = image.transpose(_TURNS[proof.orientation])
    return np.array(image)


def _fitted(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Return width and height with the short side at most `short_side` and the same aspect ratio.

    >>> _fitted(500, 375, 256), _fitted(100, 300, 256)
    ((341, 256), (100, 300))
    """
    short = min(width, height)
    if short <= short_side:
        return width, height
    return (width * short_side + short // 2) // short, (height * short_side + short // 2) // short


def _decoded(data: bytes, proof: ImageInfo, size: tuple[int, int]) -> Image.Image:
    """Return the pixels in mode L or RGB, at least as large as `size`, before the EXIF orientation is applied."""
    if proof.format == "jpeg":
        array = jpeg.pixels(data, proof.mode == "L", 2 * size[0], 2 * size[1])
        return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    image = _READERS[proof.format](data)
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode == "La":
        image = image.convert("LA")
    grey = image.mode in {"1", "L", "LA"}
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")
