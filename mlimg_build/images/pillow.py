"""Pillow's decoders without `Image.open`: no bomb warnings, no metadata parsing, no global settings.

The format modules check a file's container themselves and pass on a file that holds pixels and nothing else,
so that Pillow has nothing to warn about. Its plugins are called directly because `Image.open` warns about
sizes through Python's process-wide warning filters, which cannot be silenced for one thread alone.
"""

from __future__ import annotations

import io
import re

from PIL import Image, ImageFile

from mlimg_build.images.status import BadImage, Status

__all__ = ["load"]


def load(plugin: type[ImageFile.ImageFile], data: bytes) -> Image.Image:
    """Return the first frame of `data`, decoded in full by the given Pillow plugin.

    Raises:
        BadImage: for any error of the plugin: truncated if its message says so, too_many_pixels if the pixels do
            not fit in memory, corrupt otherwise.
    """
    try:
        image = plugin(io.BytesIO(data))
        image.load()
    except (MemoryError, Image.DecompressionBombError) as error:
        reason = "the pixels need more memory than there is"
        raise BadImage.because(Status.too_many_pixels, reason) from error
    # Pillow's decoders raise many kinds of exceptions for bad bytes, and each means that the image is bad
    except Exception as error:
        said = _sentence(error)
        status = Status.truncated if "truncated" in said.lower() else Status.corrupt
        raise BadImage.because(status, f"the {plugin.format} data do not decode: {said}") from error
    return image


def _sentence(error: Exception) -> str:
    """Return the error's message in one line without addresses, the same on every machine."""
    words = re.sub(r"0x[0-9a-fA-F]{6,}", "…", " ".join(str(error).split()))
    return words[:120].rstrip(".") or type(error).__name__
