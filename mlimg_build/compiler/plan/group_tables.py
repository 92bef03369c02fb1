"""Read the groups of images from a table with the columns id and group, or a column of a source's own table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import digest_columns, hash_names
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.errors import Place, Problem, SourceError, SpecError
from mlimg_build.missing_values import NO_VALUE
from mlimg_build.sources import SOURCES, Notes
from mlimg_build.sources.image_paths import composed, composed_column, normal_path
from mlimg_build.sources.lists.delimited import read_table
from mlimg_build.sources.lists.parquet import read_parquet
from mlimg_build.sources.lists.text_sizes import text_sizes
from mlimg_build.spec import LoadedSpec, ParquetSource, TableSource
from mlimg_build.text_limits import NAME, PATH

__all__ = ["GroupTable", "read_group_column", "read_group_file"]

COLUMNS = ("id", "group")
MOST = {"id": PATH, "group": NAME}  # bytes of a cell
NOTHING = sorted(NO_VALUE)  # cells without a group


@dataclass(frozen=True, slots=True)
class GroupTable:
    """Unique ids with their groups ("" for none) and the rows of the file that they come from."""

    ids: list[str]
    groups: pa.Array
    rows: npt.NDArray[np.int64]

    @property
    def digest(self) -> str:
        """The SHA-256 (hex) of the ids and their groups."""
        return digest_columns(pa.table({"id": self.ids, "group": self.groups}), ["id", "group"])

    def keys(self, prefix: str) -> npt.NDArray[np.uint64]:
        """Return uint64[ids]: the key of the image whose id is `prefix` followed by each id of the table."""
        return hash_names(prefix, self.ids)[0]

    def of(
        self,
        images: npt.NDArray[np.uint64],
        own: npt.NDArray[np.uint64],
        matched: npt.NDArray[np.bool_] | None,
    ) -> pa.DictionaryArray:
        """Return the group of each image, null if it has none; `images` are sorted keys, `own` those of the table.

        `matched` is set to True for the ids of the table that are among the images.
        """
        at = np.minimum(np.searchsorted(images, own), max(len(images) - 1, 0))
        known = images[at] == own if len(images) else np.zeros(len(own), bool)
        if matched is not None:
            matched |= known
        position = np.full(len(images), -1, np.int64)
        position[at[known]] = np.flatnonzero(known)
        groups = pc.if_else(pc.equal(self.groups, ""), None, self.groups)
        return groups.take(pa.array(position, mask=position < 0)).dictionary_encode()


def read_group_file(path: Path, place: Place) -> GroupTable:
    """Return the table at `path` with the columns id and group.

    Raises:
        SpecError: if the file or any of its rows cannot be read, or an image has two groups.
    """
    notes, what = Notes(), "the table of groups"
    if path.suffix.lower() == ".parquet":
        rows = read_parquet(path, what, notes, COLUMNS, lists=[], most=MOST)
    else:
        rows = read_table(
            path, what, notes, COLUMNS, "\t" if path.suffix.lower() == ".tsv" else ",", most=MOST
        )
    try:
        parts = [
            (
                [_normal(text) for text in pc.utf8_trim_whitespace(batch.column("id")).to_pylist()],
                pc.utf8_trim_whitespace(batch.column("group")),
                numbers,
            )
            for batch, numbers in rows
        ]
    except SourceError as error:
        raise SpecError(Problem(one.code, one.message, place, one.hint) for one in error.problems) from error
    if notes.counts:
        code = notes.counts.most_common(1)[0][0]
        message = (
            f"{notes.counts.total():,} rows of {path.name} cannot be read, such as {notes.examples[code][0]}"
        )
        raise SpecError(
            Problem("list-unreadable", message, place, "correct them: their images would leave their groups")
        )
    return _table(parts, path.name, place)


def read_group_column(loaded: LoadedSpec, catalog: Catalog, column: str) -> GroupTable:
    """Return the groups in a column of a source's own table or Parquet files; rows that it skips are left out.

    Raises:
        SpecError: if an image has two groups, or the column is missing or cannot be read.
    """
    part = loaded.spec.sources[catalog.name]
    assert isinstance(part, TableSource | ParquetSource)  # noqa: S101  a spec gives columns to these alone
    own = part.group is not None
    place = loaded.place(*(("sources", catalog.name, "group") if own else ("split", "by")), "column")
    try:
        parts = [*SOURCES[part.type](catalog.name, part).column(column, Notes())]
    except SourceError as error:
        raise SpecError(Problem(one.code, one.message, place, one.hint) for one in error.problems) from error
    return _table(parts, (part.table if isinstance(part, TableSource) else part.images).name, place)


def _table(
    parts: Sequence[tuple[list[str], pa.Array, npt.NDArray[np.int64]]], file: str, place: Place
) -> GroupTable:
    """Return a table of one row per image, the first with its group. Raises `SpecError` if an image has two groups."""
    for names, values, numbers in parts:
        long = np.flatnonzero(text_sizes(values) > NAME)
        if len(long):
            at = int(long[0])
            message = f"the group of {names[at]} ({file}:{numbers[at]}) has more than {NAME:,} bytes"
            raise SpecError(Problem("list-unreadable", message, place, "name the group shortly"))
    ids = [name for names, _, _ in parts for name in names]
    groups = composed_column(
        pa.chunked_array([values for _, values, _ in parts], pa.string()).combine_chunks()
    )
    groups = _whole(pc.if_else(pc.is_in(pc.utf8_lower(groups), pa.array(NOTHING)), "", groups))
    rows = np.concatenate([numbers for _, _, numbers in parts])
    codes = pa.array(ids, pa.string()).dictionary_encode()
    filled = pc.not_equal(groups, "").to_numpy(zero_copy_only=False)
    order = np.lexsort((np.arange(len(ids)), ~filled, codes.indices.to_numpy()))  # those with a group first
    image, group = codes.indices.to_numpy()[order], groups.dictionary_encode().indices.to_numpy()[order]
    first = np.ones(len(order), bool)
    first[1:] = image[1:] != image[:-1]
    again = ~first & filled[order]
    differ = np.flatnonzero(again & (group != group[np.maximum(np.arange(len(group)) - 1, 0)]))
    if len(differ):
        one, other = order[differ[0] - 1], order[differ[0]]
        images = len(np.unique(image[differ]))
        message = (
            f"{images:,} {'image is' if images == 1 else 'images are'} in two groups, such as {ids[other]}: "
            f"{groups[int(one)].as_py()} "
            f"({file}:{rows[one]}) and {groups[int(other)].as_py()} ({file}:{rows[other]})"
        )
        raise SpecError(
            Problem("two-groups", message, place, "keep one of them, or make one group of the two")
        )
    kept = np.sort(order[first])
    return GroupTable([ids[i] for i in kept], groups.take(pa.array(kept)), rows[kept])


def _whole(groups: pa.Array) -> pa.Array:
    """Remove ".0" if all groups end so: a column of whole numbers with an empty cell is read as floats."""
    distinct = pc.unique(groups)
    floats = pc.or_(pc.equal(distinct, ""), pc.match_substring_regex(distinct, r"^-?[0-9]+\.0$"))
    return pc.replace_substring_regex(groups, r"\.0$", "") if pc.all(floats).as_py() else groups


def _normal(text: str) -> str:
    """Return an id in the form of catalogs; URLs are unchanged."""
    return text if "://" in text or not text else composed(normal_path(text.replace("\\", "/")))
