"""The protocol of a source: its categories, its images and labels as a stream of record batches, its files.

The name of an image is unique in its source; `SOURCE/NAME` is its id in the dataset. Its location is a path relative to
the source's `root` (or a URL), and for a member of a tar the offset and size inside it, so that a catalog does not
depend on the machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = [
    "DRAWN",
    "IMAGES",
    "LABELS",
    "NOT_INSIDE",
    "WHOLE_FILE",
    "Batch",
    "Category",
    "File",
    "Notes",
    "Source",
    "entry_record",
    "place_of",
    "record",
    "written_place",
]

LONGEST = 512  # most characters of an example in `Notes`
WHOLE_FILE = -1  # the offset of an image that is a file of its own
DRAWN = -1  # the split of an image to which its source gives none
NOT_INSIDE = -1  # of an image that is no value of a Parquet file
ENTRY, OF_IMAGES = 1 << 39, 1 << 38  # of a row that is an entry of a JSON's `annotations`, or of its `images`

IMAGES = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # unique in the source
        pa.field("path", pa.string(), nullable=False),  # below the root, or a URL
        pa.field(
            "offset", pa.int64(), nullable=False
        ),  # in a tar, of a page of Parquet; WHOLE_FILE for a file of its own
        pa.field("size", pa.int64(), nullable=False),  # bytes, about that if inside a page; -1 if unknown
        pa.field("status", pa.string(), nullable=False),  # "" or why there are no bytes
        pa.field("licence", pa.string(), nullable=False),
        pa.field("author", pa.string(), nullable=False),
        pa.field(
            "mtime", pa.int64(), nullable=False
        ),  # times of change: hints to read again, in no key and no digest
        pa.field(
            "ctime", pa.int64(), nullable=False
        ),  # of a file that is to be read, as it cannot be set back; else 0
    ]
)
"""One row per image. `status` is "", "missing", "outside" (its folder), "truncated" or "not_fetched"."""

LABELS = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),  # of the image
        pa.field("category", pa.string(), nullable=False),  # the source's own category id
        pa.field("state", pa.int8(), nullable=False),  # PRESENT or ABSENT
        pa.field(
            "confidence", pa.float64(), nullable=False
        ),  # people's: 1, a machine's: below 1; of an absence: 1
        pa.field("record", pa.int64(), nullable=False),  # see `record`; 0 without a list
    ]
)
"""One row per statement of the source about an image. `name` and `category` may be dictionary-encoded; if a batch also
has the images and its dictionary is their names, they need not be looked up."""


def record(number: int, rows: np.ndarray) -> np.ndarray:
    """Return the positions of statements: the number of the list file in the upper bits, the row in the lower 40.

    >>> place_of(int(record(2, np.array([17]))[0]))
    (2, 17)
    """
    return (np.int64(number) << np.int64(40)) + rows.astype(np.int64)


def place_of(record: int) -> tuple[int, int]:
    """Return the number of the list file and the row in it, as packed by `record`."""
    return record >> 40, record & ((1 << 40) - 1)


def entry_record(number: int, entries: np.ndarray, of_images: bool = False) -> np.ndarray:
    """Return the positions of statements in a JSON: entries of its list `annotations`, or `images`, from 0.

    >>> written_place("a.json", place_of(int(entry_record(2, np.array([17]))[0]))[1])
    'a.json: annotations[17]'
    """
    return record(number, entries.astype(np.int64) + (ENTRY + OF_IMAGES * of_images))


def written_place(file: str, row: int) -> str:
    """Return the place of a statement as people read it: the line of a list, the entry of a JSON.

    >>> written_place("labels.csv", 17)
    'labels.csv:17'
    """
    if row & ENTRY:
        return f"{file}: {'images' if row & OF_IMAGES else 'annotations'}[{row & (OF_IMAGES - 1)}]"
    return f"{file}:{row}"


class Batch(NamedTuple):
    """A part of a source's stream: rows of `IMAGES`, rows of `LABELS`, or both.

    `splits` are the splits that the source itself gives the images, positions in `SPLITS` of the spec or `DRAWN`;
    int8[images], None if it gives none. `inside` says which value of the page at `offset` of a Parquet file an image is
    (see `PageAddress`), `NOT_INSIDE` for a file of its own; int64[images], None if none is in a page.
    """

    images: pa.RecordBatch | None
    labels: pa.RecordBatch | None
    splits: npt.NDArray[np.int8] | None = None
    inside: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A category as named by its source; `wnid` only if the source itself uses WordNet ids.

    `group` is the name of what the source puts it below, "" if it does not say; `synset` is the name that the source
    gives its synset, such as `tench.n.01`.
    """

    id: str
    name: str
    wnid: str | None = None
    group: str = ""
    synset: str = ""


@dataclass(slots=True)
class Notes:
    """What was noted while reading a source, counted by code, with the first `kept` examples of each.

    `walked` has the digest of the files of each first-level folder once all are listed; see `watched`.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    kept: int = 20
    walked: dict[str, str] = field(default_factory=dict)

    def add(self, code: str, example: str, count: int = 1) -> None:
        self.counts[code] += count
        listed = self.examples.setdefault(code, [])
        if len(listed) < self.kept:
            listed.append(example if len(example) <= LONGEST else f"{example[:LONGEST]}…")

    def merge(self, other: Notes) -> None:
        """Add what was noted elsewhere; `walked` stays as it is."""
        for code, count in other.counts.items():
            self.counts[code] += count
            listed = self.examples.setdefault(code, [])
            listed += other.examples[code][: max(self.kept - len(listed), 0)]


@dataclass(frozen=True, slots=True)
class File:
    """A file below a root: its path with forward slashes, bytes, and times of change in nanoseconds.

    `missing` marks a dangling link; a size of -1 without it means that the size is unknown, as `stat` failed or was not
    called.
    """

    path: str
    size: int
    mtime: int
    ctime: int = 0
    missing: bool = False


class Source(Protocol):
    """One source of images and labels. A new format takes one file and one line in `SOURCES`.

    It may have `scanned_with`: keys that are for facts and rows (`split`, `exclude`) and that `scan` reads, too.
    """

    complete: bool
    """Whether the categories are a vocabulary of their own, kept even if no image has them."""

    lists_name_images: bool
    """Whether the images are those that the lists name; else they are the files of the folder."""

    @property
    def root(self) -> Path | None:
        """The folder that the paths of `IMAGES` are relative to."""

    @property
    def lists(self) -> tuple[Path, ...]:
        """The files of labels, in the order of their numbers in `record`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file besides the images whose bytes determine the catalog (lists, descriptions, rights)."""

    def categories(self) -> Iterator[Category]:
        """Yield the categories that the source declares; those that only its labels name may be left out."""

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the files below `root` that determine the catalog, with their sizes and times; none without a root."""

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield the images and labels in any order. Raises `SourceError` if the source cannot be read at all."""
