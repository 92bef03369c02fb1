"""Pillow's decoders without `Image.open`: no bomb warnings, no metadata parsing, no global settings.

The format modules check a file's container themselves and pass on a file that holds pixels and nothing else,
so that Pillow has nothing to warn about. Its plugins are called directly because `Image.open` warns about
sizes through Python's process-wide warning filters, which cannot be silenced for one thread alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

from mlimg_build.errors import MlimgError
from mlimg_build.images.image_info import within
from mlimg_build.images.status import BadImage, Status

__all__ = ["explained", "load"]

_CUT = ("truncated", "end of file")


def load(
    plugin: type[ImageFile.ImageFile], data: bytes, max_pixels: int | None = None, foreign: str = ""
) -> Image.Image:
    """Return the first frame of `data`, decoded in full by the given Pillow plugin.

    With `max_pixels`, the size that the plugin finds is compared with it before the pixels are decoded. `foreign` is a
    word of the plugin's messages about variants of the format that it does not read.

    Raises:
        BadImage: that of `explained`.
    """
    with explained(str(plugin.format), foreign):
        image = plugin(io.BytesIO(data))
        if max_pixels is not None:
            within(*image.size, max_pixels)
        image.load()
    return image


@contextmanager
def explained(name: str, foreign: str = "") -> Iterator[None]:
    """Turn any error of a library that decodes the format `name` into `BadImage`.

    `foreign` is a word of its messages about variants of the format that it does not read.

    Raises:
        BadImage: truncated if the error's message says so, unrecognised if it has the word `foreign`, too_many_pixels
            if the pixels do not fit in memory, corrupt otherwise.
    """
    try:
        yield
    except MlimgError:
        raise
    except (MemoryError, Image.DecompressionBombError) as error:
        reason = "the pixels need more memory than there is"
        raise BadImage.because(Status.too_many_pixels, reason) from error
    # decoders raise many kinds of exceptions for bad bytes, and each means that the image is bad
    except Exception as error:
        said = _sentence(error)
        status = Status.truncated if any(word in said.lower() for word in _CUT) else Status.corrupt
        if foreign and foreign in said:
            status = Status.unrecognised
        raise BadImage.because(status, f"the {name} data do not decode: {said}") from error


def _sentence(error: Exception) -> str:
    """Return the error's message in one line without addresses, the same on every machine."""
    words = re.sub(r"0x[0-9a-fA-F]{6,}", "…", " ".join(str(error).split()))
    return words[:120].rstrip(".") or type(error).__name__
