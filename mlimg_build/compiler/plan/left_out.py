"""List the images of the sources that are not in the dataset, because none of their statements counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.engine.threads import in_threads
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.facts.unused_categories import reason_codes
from mlimg_build.compiler.plan.partitions import Cuts, Part, View, cut, ranges, slice_of, views
from mlimg_build.csv_cells import CellWriter
from mlimg_build.spec import Spec

__all__ = [
    "COLUMNS",
    "REASONS",
    "LeftOutImages",
    "by_reason",
    "reason_numbers",
    "sum_by_reason",
    "write_left_out",
]

REASONS: dict[str, str] = {
    "unresolved": "no noun of WordNet has the name of its category",
    "number": "its category is a number",
    "truth": "its category is a truth value",
    "no_thing": "its category is a word for no thing in particular (background, other, normal)",
    "no_value": "its label is a word for a missing value",
    "is_a": "its category is only known to be a kind of a synset",
    "unreviewed": "nobody confirmed what its category is",
    "rare_in_source": "its category is in too few images of its source",
    "rare": "its category is in too few images",
    "source_exclude": "its category is excluded by its source",
    "exclude": "its category is excluded",
    "exclude_below": "its category lies below an excluded one",
    "dropped": "the mapping file leaves its category out",
    "absence_of_kind": "only a kind of a category is said to be absent",
    "below_confidence": "no label reaches `min_confidence`",
    "no_label": "no source says anything about it that can be read",
}
"""Every reason for which an image is left out; an image has the first that applies to one of its labels."""

ABSENCE, BELOW, NO_LABEL = (
    list(REASONS).index(reason) for reason in ("absence_of_kind", "below_confidence", "no_label")
)
COLUMNS = pa.schema(
    [("image", pa.string()), ("reason", pa.string()), ("statements", pa.int64()), ("labels", pa.string())]
)
CSV_ROWS = 1_000_000  # longer lists are written as Parquet
NAMED = 8  # labels of one image that are listed
BLOCK = 1 << 18  # images of all sources that are processed together


@dataclass(frozen=True, slots=True)
class LeftOutImages:
    """Images of one source without a row, in the order of their keys.

    `reason[i]` is a position in `REASONS`. The statements about image i are `count[i]` of `category` (the source's)
    and `why` (a position in `REASONS`), image after image.
    """

    keys: npt.NDArray[np.uint64]
    reason: npt.NDArray[np.int8]
    count: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    why: npt.NDArray[np.int8]

    @classmethod
    def read(
        cls,
        view: View,
        cuts: Cuts,
        first: int,
        last: int,
        reasons: npt.NDArray[np.int8],
        keys: npt.NDArray[np.uint64],
    ) -> LeftOutImages:
        """Return the images with these keys: those of blocks `first` to `last` (exclusive) that get no row.

        `reasons` are the source's `reason_numbers`.
        """
        statements = slice_of(view.catalog.statements, cuts.statements[view.number], first, last)
        about = statements.column("key").to_numpy() if len(keys) else np.empty(0, np.uint64)
        start = np.searchsorted(about, keys)
        count = np.searchsorted(about, keys, side="right") - start
        at = ranges(start, count)
        chosen = statements.take(pa.array(at))
        category, confidence = (chosen.column(name).to_numpy() for name in ("category", "confidence"))
        unused = reasons[category]
        why = np.where(unused >= 0, unused, np.int8(ABSENCE))
        why[~view.rule.above_threshold(confidence)] = BELOW
        reason = np.full(len(keys), NO_LABEL, np.int8)
        some = count > 0
        if some.any():
            reason[some] = np.minimum.reduceat(why, (np.cumsum(count) - count)[some])
        return cls(keys, reason, count, category, why.astype(np.int8))

    def labels(self, names: pa.Array) -> pa.Array:
        """Return the first `NAMED` labels of each image as text, with their reasons; `names` are the categories'."""
        image = np.repeat(np.arange(len(self.keys)), self.count)
        same = (image[1:] == image[:-1]) & (self.category[1:] == self.category[:-1])
        same &= self.why[1:] == self.why[:-1]
        fresh = np.flatnonzero(np.concatenate([[True], ~same])) if len(image) else np.empty(0, np.int64)
        image = image[fresh]
        rank = np.arange(len(image)) - np.searchsorted(image, image)
        fresh, image = fresh[rank < NAMED], image[rank < NAMED]
        codes = pa.array(list(REASONS))
        said = pc.binary_join_element_wise(
            names.take(pa.array(self.category[fresh])), " (", codes.take(pa.array(self.why[fresh])), ")", ""
        )
        ends = np.searchsorted(image, np.arange(len(self.keys) + 1))
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), said), "; ")


def reason_numbers(spec: Spec, facts: Facts) -> list[npt.NDArray[np.int8]]:
    """Return for each source int8[categories]: the position in `REASONS` of why each is not used, -1 if it is used.

    A category without statements is in no mapping and counts as used.
    """
    place = {"": -1, **{reason: number for number, reason in enumerate(REASONS)}}
    codes = np.array([place[code] for code in reason_codes(spec, facts.vocabulary.placed)] + [-1], np.int8)
    return [codes[position] for position in facts.positions]


def by_reason(counts: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return the counts of images by reason, without zeros."""
    return {reason: count for reason, count in zip(REASONS, counts.tolist(), strict=True) if count}


def sum_by_reason(left_out: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the number of images of all sources by reason, in the order of `REASONS`, without zeros."""
    total = Counter[str]()
    for reasons in left_out:
        total.update(reasons)
    return {reason: total[reason] for reason in REASONS if total[reason]}


def write_left_out(
    spec: Spec, catalogs: Sequence[Catalog], facts: Facts, total: int, folder: Path, name: str
) -> Path | None:
    """Write the list of the `total` images that are left out to NAME.left-out.csv, or .parquet if there are many.

    The list is that of the whole dataset, even if a fraction is built, in the order of the rows. A list of an earlier
    build is replaced, or removed if no image is left out. The catalogs are read block by block. Returns the list's
    path, None if there is none.
    """
    paths = {suffix: folder / f"{name}.left-out.{suffix}" for suffix in ("csv", "parquet")}
    wanted = None if not total else "csv" if total <= CSV_ROWS else "parquet"
    if wanted is not None:
        temporary = folder / f".{paths[wanted].name}.new"
        try:
            tables = _tables(spec, catalogs, facts)
            (_write_csv if wanted == "csv" else _write_parquet)(temporary, tables)
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.replace(paths[wanted])
        finally:
            temporary.unlink(missing_ok=True)
    for suffix, path in paths.items():
        if suffix != wanted:
            path.unlink(missing_ok=True)
    return paths[wanted] if wanted else None


def _tables(spec: Spec, catalogs: Sequence[Catalog], facts: Facts) -> Iterator[pa.Table]:
    sources, cuts, reasons = views(spec, catalogs, facts), cut(catalogs, BLOCK), reason_numbers(spec, facts)
    names = [
        pa.array([one.name or one.id for one in view.catalog.categories], pa.string()) for view in sources
    ]

    def look(block: int) -> pa.Table:
        tables = []
        for view in sources:
            part = Part.read(view, cuts, block, block + 1)
            left = part.said == 0
            found = LeftOutImages.read(view, cuts, block, block + 1, reasons[view.number], part.keys[left])
            ids = part.images.column("name").take(pa.array(np.flatnonzero(left)))
            columns = [
                pc.binary_join_element_wise(view.catalog.name, ids, "/"),
                pa.array(list(REASONS)).take(pa.array(found.reason)),
                pa.array(found.count, pa.int64()),
                found.labels(names[view.number]),
            ]
            keys = pa.array(found.keys)
            tables.append(pa.table(columns, schema=COLUMNS).append_column("key", keys))
        return pa.concat_tables(tables).sort_by("key").drop_columns(["key"])

    return in_threads(look, range(cuts.blocks))


def _write_csv(path: Path, tables: Iterator[pa.Table]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = CellWriter(stream)
        writer.writerow(COLUMNS.names)
        for table in tables:
            writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _write_parquet(path: Path, tables: Iterator[pa.Table]) -> None:
    with pq.ParquetWriter(path, COLUMNS, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)
