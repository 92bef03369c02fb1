"""Write the rows of a dataset: count them block by block, then write them file by file, in threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import digest_columns, write_batches
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.engine.threads import in_threads
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.plan.left_out import REASONS, LeftOutImages, by_reason, reason_numbers
from mlimg_build.compiler.plan.partitions import Cuts, Part, View, cut, ranges, views
from mlimg_build.compiler.plan.row_files import (
    IMAGE_FIELDS,
    INSIDE,
    MTIME,
    SCHEMA,
    SHARDS_PER_FILE,
    SOURCES,
    STATEMENT_FIELDS,
    RowIndex,
    Shard,
    file_name,
    hint_of,
)
from mlimg_build.compiler.plan.withdrawals import STATUS, Withdrawals
from mlimg_build.errors import BuildError, Problem
from mlimg_build.sources import NOT_INSIDE
from mlimg_build.spec import SPLITS, Spec

__all__ = ["write_rows"]

BLOCK = 8192  # images of all sources together per block, the unit in which rows are counted
SURVEYED = 32  # blocks at a time


def write_rows(
    spec: Spec,
    catalogs: Sequence[Catalog],
    facts: Facts,
    folder: Path,
    block: int = BLOCK,
    withdrawn: Withdrawals | None = None,
) -> RowIndex:
    """Write one record batch per shard into files that `shard_batch` reads; return their index.

    Images are sorted by the sha256 of their ids. The split of an image is drawn from the same hash, or from that of
    its group, unless its source is put into a split as a whole. The catalogs are read by partitions of the key range,
    in threads; `block` is the size of the partitions and does not affect the result. The images that are `withdrawn`
    keep their rows without licence, author and statements; all else is decided as if they were there.

    Raises:
        BuildError: `no-image` if no image has a label that counts, `id-collision` if two ids have the same hash,
            `too-many-licences`.
    """
    sources, cuts = views(spec, catalogs, facts), cut(catalogs, block)
    keep = spec.annotation.unlabelled == "keep"
    numbers = reason_numbers(spec, facts)
    taken_down = withdrawn or Withdrawals()
    layer = _Layer(sources, cuts, numbers, keep, spec.dataset.images_per_shard, folder, taken_down)
    counted = _Survey.sum(in_threads(layer.survey, range(0, cuts.blocks, SURVEYED)), len(catalogs))
    left_out = {
        catalog.name: by_reason(counts)
        for catalog, counts in zip(catalogs, counted.left_out, strict=True)
        if counts.any()
    }
    if not counted.rows.any():
        hint = "look at the mapping, the exclusions, thresholds and `min_confidence` of the spec"
        reasons = "; ".join(
            f"{count:,}: {REASONS[reason]}"
            for reason, count in by_reason(np.sum(counted.left_out, axis=0)).items()
        )
        raise BuildError(Problem("no-image", f"no image has a label that counts ({reasons})", hint=hint))
    licences = _licences(counted.licences)
    np.save(folder / SOURCES, np.array([row.source for row in facts.rows], np.uint16))
    ends = np.cumsum(counted.rows, axis=0)
    stretches = [
        stretch
        for split in range(len(SPLITS))
        for stretch in layer.stretches(split, ends[:, split], licences)
    ]
    met: set[str] = set()
    shards: list[Shard] = []
    for written, entries in in_threads(layer.write, stretches):
        shards += written
        met |= entries
    unknown = sorted((taken_down.ids | taken_down.urls) - met)
    return RowIndex(
        folder=folder,
        shards=tuple(shards),
        licences=licences,
        dropped=sum(len(catalog.images) for catalog in catalogs) - int(counted.rows.sum()),
        below=counted.below,
        left_out=left_out,
        unknown=len(unknown),
        example=unknown[0] if unknown else "",
    )


@dataclass(slots=True)
class _Survey:
    """The counts of some blocks: the rows of each block and split, the licences, and what is left out."""

    rows: npt.NDArray[np.int64]
    licences: list[set[str]]  # of each source
    left_out: list[npt.NDArray[np.int64]]  # for each source, the number of its images without a row by reason
    below: int

    @classmethod
    def sum(cls, surveys: Iterable[_Survey], sources: int) -> _Survey:
        """Return the sum over all blocks; the rows of blocks are concatenated."""
        rows: list[npt.NDArray[np.int64]] = []
        none = np.zeros(len(REASONS), np.int64)
        total = cls(np.empty(0, np.int64), [set() for _ in range(sources)], [none] * sources, 0)
        for found in surveys:
            rows.append(found.rows)
            total.licences = [one | other for one, other in zip(total.licences, found.licences, strict=True)]
            total.left_out = [one + other for one, other in zip(total.left_out, found.left_out, strict=True)]
            total.below += found.below
        total.rows = np.concatenate(rows)
        return total


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The shards of one file: rows `start` to `stop` of a split, in the blocks `first` to `last` (exclusive).

    They begin `skipped` rows of the split after the start of block `first`.
    """

    split: int
    file: int
    start: int
    stop: int
    first: int
    last: int
    skipped: int
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layer:
    """Counts the rows of blocks, and writes the shards of files."""

    sources: Sequence[View]
    cuts: Cuts
    reasons: Sequence[npt.NDArray[np.int8]]  # by source category, see `reason_numbers`
    keep_unlabelled: bool
    per_shard: int
    folder: Path
    withdrawn: Withdrawals

    def survey(self, first: int) -> _Survey:
        """Return the counts of `SURVEYED` blocks from block `first` on."""
        last = min(first + SURVEYED, self.cuts.blocks)
        rows = np.zeros((last - first) * len(SPLITS), np.int64)
        found = _Survey(rows, [], [], 0)
        keys = []
        for view in self.sources:
            part = Part.read(view, self.cuts, first, last)
            block = np.repeat(
                np.arange(last - first), np.diff(self.cuts.images[view.number, first : last + 1])
            )
            there = self._there(part)
            rows += np.bincount((block * len(SPLITS) + part.splits)[there], minlength=len(rows))
            keys.append(part.keys[there])
            found.licences.append(set(pc.unique(part.images.column("licence")).to_pylist()))
            left = LeftOutImages.read(
                view, self.cuts, first, last, self.reasons[view.number], part.keys[~there]
            )
            found.left_out.append(np.bincount(left.reason, minlength=len(REASONS)))
            found.below += part.below
        merged = np.sort(np.concatenate(keys), kind="stable")  # fast, because it merges sorted runs
        if (merged[1:] == merged[:-1]).any():
            raise BuildError(
                Problem("id-collision", "two image ids have one hash", hint="rename one of the sources")
            )
        found.rows = rows.reshape(-1, len(SPLITS))
        return found

    def stretches(
        self, split: int, ends: npt.NDArray[np.int64], licences: tuple[str, ...]
    ) -> Iterator[_Stretch]:
        """Yield the files of a split, given the number of its rows up to the end of each block."""
        step = self.per_shard * SHARDS_PER_FILE
        for file, start in enumerate(range(0, int(ends[-1]), step)):
            stop = min(start + step, int(ends[-1]))
            first = int(np.searchsorted(ends, start, side="right"))
            last = int(np.searchsorted(ends, stop, side="left")) + 1
            skipped = start - (int(ends[first - 1]) if first else 0)
            yield _Stretch(split, file, start, stop, first, last, skipped, licences)

    def write(self, stretch: _Stretch) -> tuple[list[Shard], set[str]]:
        """Write the file of a stretch; return its shards, and the entries of the withdrawn images in them."""
        # a small split has rows in all blocks, so these are read a few at a time
        pieces = [
            self._piece(stretch, first, min(first + SURVEYED, stretch.last))
            for first in range(stretch.first, stretch.last, SURVEYED)
        ]
        rows = pa.concat_tables(pieces).slice(stretch.skipped, stretch.stop - stretch.start)
        mtimes, ctimes = rows.column("mtime").to_numpy(), rows.column("ctime").to_numpy()
        columns = [rows.column(field.name).combine_chunks() for field in SCHEMA]
        whole = pa.record_batch(columns, schema=SCHEMA)
        gone, met = np.zeros(len(whole), np.bool_), set[str]()
        if self.withdrawn:
            gone = self.withdrawn.chosen(whole)
            named = whole.select(["id", "path"]).filter(pa.array(gone))
            met = self.withdrawn.met(*(named.column(name).to_pylist() for name in ("id", "path")))
            whole, ctimes = _emptied(whole, gone), np.where(gone, 0, ctimes)  # their files are not read
        name, shards = SPLITS[stretch.split], list[Shard]()
        batches = []
        for number, start in enumerate(range(0, len(whole), self.per_shard)):
            batch = whole.slice(start, self.per_shard)
            batches.append(batch)
            here = slice(start, start + self.per_shard)
            hint = hint_of(mtimes[here], ctimes[here])
            place = (name, stretch.file * SHARDS_PER_FILE + number, stretch.start + start)
            shards.append(_shard(*place, batch, hint, int(gone[here].sum())))
        write_batches(self.folder / file_name(name, stretch.file), SCHEMA, batches)
        return shards, met

    def _piece(self, stretch: _Stretch, first: int, last: int) -> pa.Table:
        """Return the stretch's rows in the blocks `first` to `last` (exclusive), in order, with the files' times."""
        parts = []
        for view in self.sources:
            part = Part.read(view, self.cuts, first, last, stretch.split)
            parts.append(part.of(self._there(part)))
        order = np.argsort(np.concatenate([part.keys for part in parts]), kind="stable")
        images = pa.concat_tables(
            _images(view, part, stretch.licences) for view, part in zip(self.sources, parts, strict=True)
        )
        rows = images.take(pa.array(order)).combine_chunks()
        for (name, _), values in zip(STATEMENT_FIELDS, _lists(parts, order), strict=True):
            rows = rows.append_column(name, values)
        return rows

    def _there(self, part: Part) -> npt.NDArray[np.bool_]:
        """Return bool[images]: which images get a row."""
        return np.full(len(part.keys), True) if self.keep_unlabelled else part.said > 0


def _images(view: View, part: Part, licences: Sequence[str]) -> pa.Table:
    """Return the images of a part, with the columns of `IMAGE_FIELDS` and their file times."""
    whole = len(part.at) == len(part.images)
    images = part.images if whole else part.images.take(pa.array(part.at))
    made = {
        "id": pc.binary_join_element_wise(view.catalog.name, images.column("name"), "/"),
        "source": pa.array(np.full(len(images), view.number, np.uint16)),
        "licence": pc.index_in(images.column("licence"), value_set=pa.array(licences, pa.string())).cast(
            pa.uint16()
        ),
    }
    fields = [*IMAGE_FIELDS, INSIDE, MTIME, ("ctime", pa.int64())]
    columns = [made[name] if name in made else images.column(name) for name, _ in fields]
    return pa.table(columns, schema=pa.schema(fields))


def _lists(parts: Sequence[Part], order: npt.NDArray[np.int64]) -> list[pa.ListArray]:
    """Return the columns of `STATEMENT_FIELDS` for the images in the given order."""
    count = np.concatenate([part.said for part in parts])
    start = np.cumsum(count) - count
    at = ranges(start[order], count[order])
    offsets = pa.array(np.concatenate([[0], np.cumsum(count[order])]), pa.int32())
    return [
        pa.ListArray.from_arrays(
            offsets, pa.array(np.concatenate([getattr(part.statements, name) for part in parts])[at])
        )
        for name, _ in STATEMENT_FIELDS
    ]


def _emptied(rows: pa.RecordBatch, gone: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Return the rows, of which some (bool[rows]) keep no more than their id and their place."""
    if not gone.any():
        return rows
    instead: dict[str, Any] = {"status": STATUS, "licence": 0, "author": ""}
    counts = rows.column(STATEMENT_FIELDS[0][0]).value_lengths().to_numpy()
    kept = pa.array(np.repeat(~gone, counts))
    offsets = pa.array(np.concatenate([[0], np.cumsum(np.where(gone, 0, counts))]), pa.int32())
    said = {name for name, _ in STATEMENT_FIELDS}
    mask = pa.array(gone)
    columns = []
    for field in SCHEMA:
        column = rows.column(field.name)
        if field.name in said:
            column = pa.ListArray.from_arrays(offsets, column.flatten().filter(kept))
        elif field.name in instead:
            column = pc.if_else(mask, pa.scalar(instead[field.name], field.type), column)
        columns.append(column)
    return pa.record_batch(columns, schema=SCHEMA)


def _shard(
    split: str, number: int, first: int, batch: pa.RecordBatch, hint: str, withdrawn: int = 0
) -> Shard:
    sizes, inside = batch.column("size").to_numpy(), batch.column("inside").to_numpy()
    fields = [name for name, _ in IMAGE_FIELDS]
    if (inside != NOT_INSIDE).any():
        fields.append("inside")
    return Shard(
        split=split,
        number=number,
        first=first,
        images=len(batch),
        bytes=int(sizes[sizes > 0].sum()),
        image_rows=digest_columns(batch, fields),
        label_rows=digest_columns(batch, [name for name, _ in STATEMENT_FIELDS]),
        hint=hint,
        withdrawn=withdrawn,
    )


def _licences(found: Sequence[set[str]]) -> tuple[str, ...]:
    """Return the distinct licences, source by source; "" (unknown) is always the first."""
    named = tuple(dict.fromkeys(["", *(licence for source in found for licence in sorted(source))]))
    if len(named) > np.iinfo(np.uint16).max:
        hint = "`licence` names a licence, not an image; give authors in their own column"
        raise BuildError(Problem("too-many-licences", f"{len(named)} different licences", hint=hint))
    return named
