"""The counted labels, shard by shard: those of the stored columns, with copies counted once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.read.column_reader import ColumnReader, ranges, spans_of
from mlimg_build.dataset.read.copy_groups import CopyGroups
from mlimg_build.dataset.read.lru import LRUCache

__all__ = ["CountedLabels"]

REMEMBERED_BYTES = 64 << 20


class CountedLabels:
    """Columns of labels in which the counted image of a group of copies has their union, and the others have none.

    A shard without copies has the stored columns themselves; the others are computed on demand, and up to 64 MiB of
    them stay in memory.
    """

    def __init__(
        self, split: str, rows: Callable[[int], range], columns: ColumnReader, copies: CopyGroups
    ) -> None:
        """`rows` returns the rows of a shard."""
        self._split = split
        self._rows = rows
        self._columns = columns
        self._copies = copies
        self._made: LRUCache[tuple[str, int], NDArray[Any]] = LRUCache(REMEMBERED_BYTES, lambda a: a.nbytes)

    def mask(self, shard: int) -> NDArray[np.bool_]:
        """Return bool[images]: which images of the shard are counted."""
        mask = np.ones(len(self._columns.spans("labels", shard)), np.bool_)
        offsets, members = self._members(shard)
        mask[offsets] = self._copies.first[members]
        return mask

    def spans(self, shard: int) -> NDArray[Any]:
        """Return where each image's part of the shard's columns begins and ends: unsigned [images, 2]."""
        if not len(self._members(shard)[0]):
            return self._columns.spans("labels", shard)

        def load() -> NDArray[Any]:
            length = self._sources(shard)[1]
            stop = np.cumsum(length)
            return spans_of(stop - length, stop)

        return self._made.get(("spans", shard), load)

    def column(self, name: str, shard: int) -> NDArray[Any]:
        """Return a column of labels, one value per entry; `member` indexes the table of copies, -1 for own labels."""
        if not len(self._members(shard)[0]) and name != "member":
            return self._columns.column(f"labels/{name}", shard)

        def load() -> NDArray[Any]:
            begin, length = self._sources(shard)
            count = len(self._columns.column("labels/category", shard))
            own = (
                np.full(count, -1, np.int64)
                if name == "member"
                else self._columns.column(f"labels/{name}", shard)
            )
            at = ranges(begin, length)
            made = own[np.where(at < count, at, 0)] if count else np.zeros(len(at), own.dtype)
            merged = at >= count
            made[merged] = self._copies.table("labels")[name][at[merged] - count]
            made.flags.writeable = False
            return made

        return self._made.get((name, shard), load)

    def clear(self) -> None:
        """Empty the cache of computed columns."""
        self._made.clear()

    def _members(self, shard: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the images of the shard that have copies, counted from its first, and the member that each is."""
        inside = self._rows(shard)
        rows, members = self._copies.within(self._split, inside.start, inside.stop)
        return rows - inside.start, members

    def _sources(self, shard: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the start and the number of each image's labels, in the stored column followed by that of copies."""
        spans = self._columns.spans("labels", shard).astype(np.int64)
        begin, length = spans[:, 0].copy(), spans[:, 1] - spans[:, 0]
        count = len(self._columns.column("labels/category", shard))
        offsets, members = self._members(shard)
        counts = self._copies.first[members]
        length[offsets[~counts]] = 0
        groups = self._copies.group_of[members[counts]]
        merged = self._copies.table("groups")["merged"][groups] > 0
        at, groups = offsets[counts][merged], groups[merged]
        labels = self._copies.table("labels")
        start, stop = (labels[name][groups].astype(np.int64) for name in ("start", "stop"))
        begin[at], length[at] = count + start, stop - start
        return begin, length
