"""The rows of the dataset before any image is read: order, split, and for each image where it lies and what is said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.build.catalog import Catalog
from mlimg_build.build.columns import digest_columns, write_batches
from mlimg_build.build.facts import Facts
from mlimg_build.errors import BuildError, Problem
from mlimg_build.labels import ABSENT, PRESENT, Statements
from mlimg_build.spec import Spec

__all__ = ["SPLITS", "Rows", "Shard", "lay_out", "statements_of"]

SPLITS = ("train", "validation", "transfer", "transfer_validation")
TEXT_STEP = 16  # text columns grow in steps, so that one longer id does not change every shard

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
SCHEMA = pa.schema([*IMAGE_FIELDS, *STATEMENT_FIELDS])


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard to be: its batch in the split's file, and the digests of what its images and its labels follow from.

    `hint` digests times of change; `bytes` counts the sizes that are known.
    """

    split: str
    number: int
    images: int
    bytes: int
    image_rows: str
    label_rows: str
    hint: str


@dataclass(frozen=True, slots=True)
class Rows:
    """All shards of all splits, and the widths that fix the layout: the longest id and author in bytes.

    `dropped` counts images left out because no label of theirs counts, `below` statements under `min_confidence`.
    """

    shards: tuple[Shard, ...]
    licences: tuple[str, ...]
    id_bytes: int
    author_bytes: int
    dropped: int
    below: int

    def of(self, split: str) -> tuple[Shard, ...]:
        """The shards of one split, in order."""
        return tuple(shard for shard in self.shards if shard.split == split)

    def record(self) -> dict[str, Any]:
        """The rows as JSON."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Rows:
        """The rows that `record` made."""
        shards = tuple(Shard(**shard) for shard in record["shards"])
        return cls(**{**record, "shards": shards, "licences": tuple(record["licences"])})


def lay_out(spec: Spec, catalogs: Sequence[Catalog], facts: Facts, folder: Path) -> Rows:
    """Writes `SPLIT.arrow`, one record batch a shard, and returns what they hold.

    Images are ordered by sha256 of their ids. The split of an image is drawn from the same hash, so it depends
    on nothing but its id, unless its source is put into a split as a whole.
    """
    statements, below = _statements(spec, catalogs, facts)
    key = np.concatenate([catalog.images.column("key").to_numpy() for catalog in catalogs])
    kept = np.full(len(key), spec.annotation.unlabelled == "keep")
    kept[statements.image] = True
    if not kept.any():
        hint = "look at the exclusions, thresholds and `min_confidence` of the spec"
        raise BuildError(Problem("no-image", "no image has a label that counts", hint=hint))
    split = _splits(spec, catalogs)
    order = np.argsort(key, kind="stable")
    order = order[kept[order]]
    if (key[order][1:] == key[order][:-1]).any():
        raise BuildError(
            Problem("id-collision", "two image ids have one hash", hint="rename one of the sources")
        )
    licences = _licences(catalogs)
    images = _images(catalogs, licences)
    mtimes = np.concatenate([catalog.images.column("mtime").to_numpy() for catalog in catalogs])
    per_shard = spec.dataset.images_per_shard
    shards: list[Shard] = []
    for number, name in enumerate(SPLITS):
        chosen = order[split[order] == number]
        parts = [chosen[i : i + per_shard] for i in range(0, len(chosen), per_shard)]
        if parts:
            batches = _batches(parts, images, statements)
            write_batches(folder / f"{name}.arrow", SCHEMA, _described(name, parts, batches, mtimes, shards))
    return Rows(
        shards=tuple(shards),
        licences=licences,
        id_bytes=_width(images.column("id")),
        author_bytes=_width(images.column("author")),
        dropped=int((~kept).sum()),
        below=below,
    )


def statements_of(batch: pa.RecordBatch) -> Statements:
    """The statements about the images of one shard; image numbers count from the shard's first row."""
    return Statements.of(
        pc.list_parent_indices(batch.column("category")).to_numpy(),
        *(batch.column(name).flatten().to_numpy() for name, _ in STATEMENT_FIELDS),
    )


def _statements(spec: Spec, catalogs: Sequence[Catalog], facts: Facts) -> tuple[Statements, int]:
    """What the sources say about categories of the vocabulary, by the image's position in all catalogs together."""
    category_of, narrower = facts.vocabulary.category_of, facts.vocabulary.narrower
    columns: list[list[npt.NDArray[Any]]] = []
    start, below = 0, 0
    for catalog, position in zip(catalogs, facts.positions, strict=True):
        table = catalog.statements
        confidence = table.column("confidence").to_numpy()
        mapping = position[table.column("category").to_numpy()]
        category = category_of[mapping]
        certain = (confidence == 0) | (confidence >= np.float32(spec.sources[catalog.name].min_confidence))
        below += int((~certain).sum())
        silent = (confidence == 0) & narrower[mapping]  # says nothing of what is above it
        kept = certain & (category >= 0) & ~silent
        image = start + np.searchsorted(
            catalog.images.column("key").to_numpy(), table.column("key").to_numpy()[kept]
        )
        absent = confidence[kept] == 0
        columns.append(
            [
                image,
                category[kept],
                np.where(absent, ABSENT, PRESENT),
                np.where(absent, 1, confidence[kept]),
                mapping[kept],
                table.column("record").to_numpy()[kept],
            ]
        )
        start += len(catalog.images)
    return Statements.of(*(np.concatenate(parts) for parts in zip(*columns, strict=True))), below


def _splits(spec: Spec, catalogs: Sequence[Catalog]) -> npt.NDArray[np.int8]:
    """int8[images]: a position in `SPLITS` for each image of all catalogs together."""
    limit = int(spec.split.validation * 2.0**64)
    parts = []
    for catalog in catalogs:
        wanted = spec.sources[catalog.name].split
        if wanted == "auto":
            draw = catalog.images.column("draw").to_numpy()
            parts.append((draw < np.uint64(limit)).astype(np.int8))
        else:
            parts.append(np.full(len(catalog.images), SPLITS.index(wanted), np.int8))
    return np.concatenate(parts)


def _licences(catalogs: Sequence[Catalog]) -> tuple[str, ...]:
    """The distinct licences, source by source; "" (not said) is always the first."""
    found = {"": None}
    for catalog in catalogs:
        found |= dict.fromkeys(sorted(pc.unique(catalog.images.column("licence")).to_pylist()))
    if len(found) > np.iinfo(np.uint16).max:
        hint = "`licence` names a licence, not an image; give authors in their own column"
        raise BuildError(Problem("too-many-licences", f"{len(found)} different licences", hint=hint))
    return tuple(found)


def _images(catalogs: Sequence[Catalog], licences: Sequence[str]) -> pa.Table:
    """All images of all catalogs, with the columns of `IMAGE_FIELDS`."""
    names = pa.array(licences, pa.string())
    tables = []
    for number, catalog in enumerate(catalogs):
        images = catalog.images
        made = {
            "id": pc.binary_join_element_wise(catalog.name, images.column("name"), "/"),
            "source": pa.array(np.full(len(images), number, np.uint16)),
            "licence": pc.index_in(images.column("licence"), value_set=names).cast(pa.uint16()),
        }
        columns = [made[name] if name in made else images.column(name) for name, _ in IMAGE_FIELDS]
        tables.append(pa.table(columns, schema=pa.schema(IMAGE_FIELDS)))
    return pa.concat_tables(tables).combine_chunks()


def _batches(
    parts: Sequence[npt.NDArray[np.int64]], images: pa.Table, statements: Statements
) -> Iterator[pa.RecordBatch]:
    for part in parts:
        rows = images.take(pa.array(part))
        low = np.searchsorted(statements.image, part, side="left")
        count = np.searchsorted(statements.image, part, side="right") - low
        offsets = np.concatenate([[0], np.cumsum(count)])
        at = np.repeat(low - offsets[:-1], count) + np.arange(offsets[-1])
        lists = [
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(getattr(statements, name)[at]))
            for name, _ in STATEMENT_FIELDS
        ]
        plain = [rows.column(name).combine_chunks() for name, _ in IMAGE_FIELDS]
        yield pa.record_batch([*plain, *lists], schema=SCHEMA)


def _described(
    split: str,
    parts: Sequence[npt.NDArray[np.int64]],
    batches: Iterator[pa.RecordBatch],
    mtimes: npt.NDArray[np.int64],
    shards: list[Shard],
) -> Iterator[pa.RecordBatch]:
    """Passes the batches on and appends what each holds to `shards`."""
    for number, (part, batch) in enumerate(zip(parts, batches, strict=True)):
        sizes = batch.column("size").to_numpy()
        shards.append(
            Shard(
                split=split,
                number=number,
                images=len(part),
                bytes=int(sizes[sizes > 0].sum()),
                image_rows=digest_columns(batch, [name for name, _ in IMAGE_FIELDS]),
                label_rows=digest_columns(batch, [name for name, _ in STATEMENT_FIELDS]),
                hint=hashlib.sha256(mtimes[part].astype("<i8").tobytes()).hexdigest()[:16],
            )
        )
        yield batch


def _width(column: pa.ChunkedArray) -> int:
    """The bytes of the longest text, rounded up to a step; 1 where every text is empty."""
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    return -(-longest // TEXT_STEP) * TEXT_STEP or 1
