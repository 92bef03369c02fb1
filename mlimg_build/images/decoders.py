"""The formats that this installation can decode, and the error for one that it cannot.

JPEG, PNG, GIF, WebP and BMP are in every build of Pillow that mlimg accepts. The others need a library that a build of
Pillow may lack, or a package of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

import PIL
from PIL import features

from mlimg_build.errors import DecoderMissing, Problem

__all__ = ["decoder_versions", "missing", "require_decoder"]

_WHEELS = (
    "pip install --force-reinstall pillow (the wheels of PyPI have it; a Pillow built here needs {library})"
)


@dataclass(frozen=True, slots=True)
class _Decoder:
    """What decodes one format: `shown` is the format's name for people, `version` returns "" if it is not installed."""

    shown: str
    what: str
    hint: str
    version: Callable[[], str]


def _codec(name: str) -> Callable[[], str]:
    def version() -> str:
        known = name in features.codecs or name in features.modules
        return (
            f"pillow {PIL.__version__}, {name} {features.version(name)}"
            if known and features.check(name)
            else ""
        )

    return version


def _pillow_heif() -> str:
    """Return the version of pillow-heif, which need not be imported for that."""
    try:
        return f"pillow-heif {metadata.version('pillow-heif')}"
    except metadata.PackageNotFoundError:
        return ""


_DECODERS = {
    "tiff": _Decoder("TIFF", "Pillow's libtiff", _WHEELS.format(library="libtiff"), _codec("libtiff")),
    "jpeg2000": _Decoder(
        "JPEG 2000", "Pillow's OpenJPEG", _WHEELS.format(library="OpenJPEG"), _codec("jpg_2000")
    ),
    "avif": _Decoder("AVIF", "Pillow's libavif", _WHEELS.format(library="libavif"), _codec("avif")),
    "heif": _Decoder("HEIC", "pillow-heif", "pip install 'mlimg[heif]'", _pillow_heif),
}


@lru_cache(maxsize=1)
def decoder_versions() -> dict[str, str]:
    """Return the versions of the decoders that are installed, by format.

    JPEG, PNG, GIF and WebP are not among them: every installation has theirs.
    """
    found = {name: decoder.version() for name, decoder in _DECODERS.items()}
    return {
        "bmp": f"pillow {PIL.__version__}",
        **{name: version for name, version in found.items() if version},
    }


def require_decoder(name: str) -> None:
    """Check that a format can be decoded here.

    Raises:
        DecoderMissing: that of `missing`.
    """
    if name not in decoder_versions():
        raise missing(name)


def missing(name: str) -> DecoderMissing:
    """Return the error `decoder-missing`, with what to install. It says nothing about the image."""
    decoder = _DECODERS[name]
    message = f"{decoder.shown} is not read here, because {decoder.what} is not installed"
    return DecoderMissing(Problem("decoder-missing", message, hint=decoder.hint))
