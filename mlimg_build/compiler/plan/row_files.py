"""The rows of the dataset before any image is read: order, split, and for each image where it lies and what is said."""

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
MTIME = ("mtime", pa.int64())  # what a worker compares the file with; in no digest
SCHEMA = pa.schema([*IMAGE_FIELDS, MTIME, *STATEMENT_FIELDS])


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard to be: its batch in the split's file, and the digests of what its images and its labels follow from.

    `first` is the row of its first image in the split. `hint` digests times of change; `bytes` counts the sizes that
    are known.
    """

    split: str
    number: int
    first: int
    images: int
    bytes: int
    image_rows: str
    label_rows: str
    hint: str


@dataclass(frozen=True, slots=True)
class RowIndex:
    """The shards of all splits, the folder in which their rows lie, and the licences behind their codes.

    `dropped` counts images left out because no label of theirs counts, and `left_out` the same by source and reason
    (of `left_out.REASONS`); `below` counts statements under `min_confidence`.
    """

    folder: Path
    shards: tuple[Shard, ...]
    licences: tuple[str, ...]
    dropped: int
    below: int
    left_out: dict[str, dict[str, int]]

    def of(self, split: str) -> tuple[Shard, ...]:
        """The shards of one split, in order."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def first_shards(self, fraction: float) -> tuple[Shard, ...]:
        """The first shards of each split, at least one: a prefix of the whole."""
        chosen: list[Shard] = []
        for split in dict.fromkeys(shard.split for shard in self.shards):
            shards = self.of(split)
            chosen += shards[: max(1, math.ceil(Fraction(str(fraction)) * len(shards)))]
        return tuple(chosen)

    def batch(self, shard: Shard) -> pa.RecordBatch:
        """The rows of one shard, mapped from disk."""
        return shard_batch(self.folder, shard.split, shard.number)

    @property
    def splits(self) -> dict[str, int]:
        """The number of images in each split."""
        images: Counter[str] = Counter()
        for shard in self.shards:
            images[shard.split] += shard.images
        return dict(images)

    def record(self) -> dict[str, Any]:
        """The index as JSON, without what follows from the rest: its folder, and the first row of each shard."""
        record = asdict(self)
        del record["folder"]
        for shard in record["shards"]:
            del shard["first"]
        return record

    @classmethod
    def from_record(cls, record: dict[str, Any], folder: Path) -> RowIndex:
        """The index of the rows in `folder`, of which `record` was made."""
        shards: list[Shard] = []
        rows: Counter[str] = Counter()  # split → those of the shards so far
        for shard in record["shards"]:
            shards.append(Shard(**shard, first=rows[shard["split"]]))
            rows[shard["split"]] += shard["images"]
        licences = tuple(record["licences"])
        return cls(**{**record, "folder": folder, "shards": tuple(shards), "licences": licences})


def shard_batch(folder: Path, split: str, number: int) -> pa.RecordBatch:
    """The rows of one shard, mapped from the folder that `write_rows` filled."""
    file, within = divmod(number, SHARDS_PER_FILE)
    return open_batches(folder / file_name(split, file)).get_batch(within)


def hint_of(mtimes: npt.NDArray[np.int64], ctimes: npt.NDArray[np.int64]) -> str:
    """A digest of the times of a shard's files, whose change tells this machine to look again; in no key; hex.

    `ctimes` are 0 where no file is to be read.
    """
    digest = hashlib.sha256(np.ascontiguousarray(mtimes.astype("<i8", copy=False)).data)
    digest.update(np.ascontiguousarray(ctimes.astype("<i8", copy=False)).data)
    return digest.hexdigest()[:16]


def file_name(split: str, number: int) -> str:
    """The file that holds the n-th `SHARDS_PER_FILE` shards of a split."""
    return f"{split}-{number:05}.arrow"


def statements_of(batch: pa.RecordBatch) -> Statements:
    """The statements about the images of one shard; image numbers count from the shard's first row."""
    return Statements.of(
        pc.list_parent_indices(batch.column("category")).to_numpy(),
        *(batch.column(name).flatten().to_numpy() for name, _ in STATEMENT_FIELDS),
    )
