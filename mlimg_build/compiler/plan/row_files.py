"""Files of the dataset's rows before any image is read: order, split, and each image's location and statements."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import open_batches
from mlimg_build.labels import Statements

__all__ = ["SOURCES", "RowIndex", "Shard", "file_name", "hint_of", "shard_batch", "statements_of"]

SHARDS_PER_FILE = 32
SOURCES = "sources.npy"  # uint16[mappings]: the source of each source category

IMAGE_FIELDS: list[tuple[str, pa.DataType]] = [
    ("id", pa.string()),
    ("source", pa.uint16()),
    ("path", pa.string()),
    ("offset", pa.int64()),
    ("size", pa.int64()),
    ("status", pa.string()),
    ("licence", pa.uint16()),
    ("author", pa.string()),
]
STATEMENT_FIELDS: list[tuple[str, pa.DataType]] = [
    ("category", pa.list_(pa.int32())),
    ("state", pa.list_(pa.int8())),
    ("confidence", pa.list_(pa.float32())),
    ("mapping", pa.list_(pa.int32())),
    ("record", pa.list_(pa.int64())),
]
INSIDE = ("inside", pa.int64())  # in the digest of a shard only if one of its images is inside a page
MTIME = ("mtime", pa.int64())  # workers compare it with that of the file; in no digest
SCHEMA = pa.schema([*IMAGE_FIELDS, INSIDE, MTIME, *STATEMENT_FIELDS])


@dataclass(frozen=True, slots=True)
class Shard:
    """One planned shard: its position in the split, and the digests of the rows of its images and its labels.

    `first` is the row of its first image in the split. `hint` is a digest of file times; `bytes` sums the known sizes.
    `withdrawn` counts the images that are taken down.
    """

    split: str
    number: int
    first: int
    images: int
    bytes: int
    image_rows: str
    label_rows: str
    hint: str
    withdrawn: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """Its split and number, which no other shard of a plan has."""
        return self.split, self.number


@dataclass(frozen=True, slots=True)
class RowIndex:
    """The shards of all splits, the folder of their rows, and the licences by code.

    `dropped` counts images left out because no label of theirs counts, and `left_out` the same by source and reason
    (of `left_out.REASONS`); `below` counts statements under `min_confidence`. `unknown` counts the ids and URLs of the
    list of withdrawn images that no row has, with an `example`.
    """

    folder: Path
    shards: tuple[Shard, ...]
    licences: tuple[str, ...]
    dropped: int
    below: int
    left_out: dict[str, dict[str, int]]
    unknown: int = 0
    example: str = ""

    def of(self, split: str) -> tuple[Shard, ...]:
        """Return the shards of one split, in order."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def first_shards(self, fraction: float) -> tuple[Shard, ...]:
        """Return the first shards of each split, at least one: a prefix of the whole."""
        chosen: list[Shard] = []
        for split in dict.fromkeys(shard.split for shard in self.shards):
            shards = self.of(split)
            chosen += shards[: max(1, math.ceil(Fraction(str(fraction)) * len(shards)))]
        return tuple(chosen)

    def batch(self, shard: Shard) -> pa.RecordBatch:
        """Return the rows of one shard, mapped from disk."""
        return shard_batch(self.folder, shard.split, shard.number)

    @property
    def splits(self) -> dict[str, int]:
        """The number of images in each split."""
        images: Counter[str] = Counter()
        for shard in self.shards:
            images[shard.split] += shard.images
        return dict(images)

    def record(self) -> dict[str, Any]:
        """Return the index as JSON, without its folder, and without the first row of each shard, which is derived."""
        record = asdict(self)
        del record["folder"]
        for shard in record["shards"]:
            del shard["first"]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any], folder: Path) -> RowIndex:
        """Return the index of the rows in `folder` from its `record`."""
        shards: list[Shard] = []
        rows: Counter[str] = Counter()  # split → rows of the shards so far
        for shard in record["shards"]:
            shards.append(Shard(**shard, first=rows[shard["split"]]))
            rows[shard["split"]] += shard["images"]
        licences = tuple(record["licences"])
        return cls(**{**record, "folder": folder, "shards": tuple(shards), "licences": licences})


def shard_batch(folder: Path, split: str, number: int) -> pa.RecordBatch:
    """Return the rows of one shard, mapped from the folder that `write_rows` filled."""
    file, within = divmod(number, SHARDS_PER_FILE)
    return open_batches(folder / file_name(split, file)).get_batch(within)


def hint_of(mtimes: npt.NDArray[np.int64], ctimes: npt.NDArray[np.int64]) -> str:
    """Return a digest (hex) of the times of a shard's files; if it changes, the shard is made again. It is in no key.

    `ctimes` are 0 for images without a file to read.
    """
    digest = hashlib.sha256(np.ascontiguousarray(mtimes.astype("<i8", copy=False)).data)
    digest.update(np.ascontiguousarray(ctimes.astype("<i8", copy=False)).data)
    return digest.hexdigest()[:16]


def file_name(split: str, number: int) -> str:
    """Return the name of the file with the n-th `SHARDS_PER_FILE` shards of a split."""
    return f"{split}-{number:05}.arrow"


def statements_of(batch: pa.RecordBatch) -> Statements:
    """Return the statements about the images of one shard; image numbers count from the shard's first row."""
    return Statements.of(
        pc.list_parent_indices(batch.column("category")).to_numpy(),
        *(batch.column(name).flatten().to_numpy() for name, _ in STATEMENT_FIELDS),
    )
