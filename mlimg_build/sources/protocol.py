"""What a source is: its categories, its images and labels as a stream of record batches, its files.

An image is *named* within its source; `SOURCE/NAME` is its id in the dataset. Where its bytes lie is a path
relative to the source's `root` (or a URL), and for a member of a tar the offset and size inside it, so that
nothing of the machine gets into a catalog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

__all__ = [
    "IMAGES",
    "LABELS",
    "WHOLE_FILE",
    "Batch",
    "Category",
    "File",
    "Notes",
    "Source",
    "place_of",
    "record",
]

WHOLE_FILE = -1  # offset of an image that is a file of its own

IMAGES = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # unique in the source
        pa.field("path", pa.string(), nullable=False),  # below the root, or a URL
        pa.field("offset", pa.int64(), nullable=False),  # in a tar; WHOLE_FILE for a file of its own
        pa.field("size", pa.int64(), nullable=False),  # bytes; -1 when not known
        pa.field("status", pa.string(), nullable=False),  # "" or why the bytes cannot be had
        pa.field("licence", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
        pa.field(
            "mtime", pa.int64(), nullable=False
        ),  # hints to look again; in no key and no digest: time of change
        pa.field(
            "ctime", pa.int64(), nullable=False
        ),  # of a file that is to be read, which nobody can put back; or 0
    ]
)
"""One row an image. `status` is "", "missing", "outside" (its folder), "truncated" or "not_fetched"."""

LABELS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # of the image
        pa.field("category", pa.string(), nullable=False),  # the source's own category id
        pa.field("state", pa.int8(), nullable=False),  # PRESENT or ABSENT
        pa.field(
            "confidence", pa.float64(), nullable=False
        ),  # 1 people's, below 1 a machine's; of an absence 1
        pa.field("record", pa.int64(), nullable=False),  # see `record`; 0 without a list
    ]
)
"""One row a statement of the source about an image. `name` and `category` may be encoded as dictionaries: a batch that
brings the images too and gives their names as the dictionary spares looking them up."""


def record(number: int, rows: np.ndarray) -> np.ndarray:
    """Where statements stand: the number of the list file in the upper bits, the row in the lower 40.

    >>> place_of(int(record(2, np.array([17]))[0]))
    (2, 17)
    """
    return (np.int64(number) << np.int64(40)) + rows.astype(np.int64)


def place_of(record: int) -> tuple[int, int]:
    """The number of the list file and the row in it, as `record` packed them."""
    return record >> 40, record & ((1 << 40) - 1)


class Batch(NamedTuple):
    """A piece of a source's stream: rows of `IMAGES`, rows of `LABELS`, or both."""

    images: pa.RecordBatch | None
    labels: pa.RecordBatch | None


@dataclass(frozen=True, slots=True)
class Category:
    """A category as its source names it; `wnid` only where the source itself speaks WordNet."""

    id: str
    name: str
    wnid: str | None = None


@dataclass(slots=True)
class Notes:
    """What was passed over while reading, counted by code, with the first few examples of each.

    `walked` has the digest of the files of each folder of the first level, once all were listed; see `watched`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    kept: int = 20
    walked: dict[str, str] = field(default_factory=dict)

    def add(self, code: str, example: str, count: int = 1) -> None:
        self.counts[code] += count
        listed = self.examples.setdefault(code, [])
        if len(listed) < self.kept:
            listed.append(example)


@dataclass(frozen=True, slots=True)
class File:
    """A file below a root: its path with forward slashes, bytes, and times of change in nanoseconds.

    `missing` is a link to nothing; a size of -1 without it means that the system refused to tell, now.
    """

    path: str
    size: int
    mtime: int
    ctime: int = 0
    missing: bool = False


class Source(Protocol):
    """One place that images and labels come from. Adding a format: one file and one line in `SOURCES`."""

    complete: bool
    """True where the categories are a vocabulary of their own, kept even where no image has them."""

    lists_name_images: bool
    """True where the images are those that the lists name; else they are the files of the folder."""

    @property
    def root(self) -> Path | None:
        """The folder that the paths of `IMAGES` are relative to."""

    @property
    def lists(self) -> tuple[Path, ...]:
        """The files of labels, in the order that `record` counts their rows."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file outside `root` whose bytes decide the catalog (the lists, descriptions, rights)."""

    def categories(self) -> Iterator[Category]:
        """The categories that the source declares; those that only its labels name may be left out."""

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the files below `root` that decide the catalog, with their sizes and times; none without a root."""

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """The images and labels in any order; raises `SourceError` where the source cannot be read at all."""
