"""The interface of an exporter: the images that it is given, and the files that it reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["ExportedImage", "ExportedLabel", "Exporter", "Limits", "OutputFile"]


@dataclass(frozen=True, slots=True)
class ExportedLabel:
    """A label of an image: its category, the confidence (0 to 1) and the rule of the spec that put it there."""

    wnid: str
    name: str
    confidence: float
    rule: str


@dataclass(frozen=True, slots=True)
class ExportedImage:
    """An image with its stored file and what is known of it; a category in neither list is not stated.

    `height` and `width` are pixels of the upright image, `sha256` is that of `data`, in hex.
    """

    id: str
    split: str
    source: str
    licence: str
    author: str
    height: int
    width: int
    sha256: str
    status: str
    present: tuple[ExportedLabel, ...]
    absent: tuple[ExportedLabel, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """The most images and bytes of one file of an export; a single image may have more bytes."""

    images: int = 100_000
    size: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that was written: its name below the export's folder, its images, and its size in bytes."""

    file: str
    images: int
    bytes: int


class Exporter(Protocol):
    """Writes the images of one split into files of `folder` whose names begin with that of the split.

    The images come one by one, each with its bytes, and must not be kept; the same images give the same files. A
    split without images gives no file.
    """

    def __call__(
        self, split: str, images: Iterator[ExportedImage], folder: Path, limits: Limits
    ) -> list[OutputFile]: ...
