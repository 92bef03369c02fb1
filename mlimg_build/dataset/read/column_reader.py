"""Read columns of a dataset shard by shard through Zarr, and keep the last ones used in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import (
    CONTRADICTION_COLUMNS,
    LABEL_COLUMNS,
    SPAN_COLUMNS,
    Layout,
    image_columns,
)
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.format.value_ranges import SizeOf
from mlimg_build.dataset.read.array_files import damaged, open_array, require_stored, tail_of, taken
from mlimg_build.dataset.read.column_checks import check_spans, check_values
from mlimg_build.dataset.read.lru import LRUCache
from mlimg_build.errors import DamagedDataset

__all__ = ["ColumnReader", "ranges", "spans_of"]

REMEMBERED_BYTES = 256 << 20
TEXTS = ("images/id", "images/author")
WIDEST = {"labels": "record", "contradictions": "absent_record"}  # the column with the most bytes an entry
MANY = 1 << 20  # entries of a row that are not looked for before they are read


class ColumnReader:
    """The arrays of one split by name, such as `images/id` or `labels/category`, one shard at a time.

    Up to 256 MiB of columns stay in memory. `check` is called before anything is read from the disk.
    """

    def __init__(
        self,
        group: Path,
        layout: Layout,
        rows: Callable[[int], range],
        check: Callable[[], None],
        size_of: SizeOf,
    ) -> None:
        """`rows` returns the rows of a shard, which has `layout.images_per_shard` positions and may fill fewer."""
        self._group = group
        self._layout = layout
        self._rows = rows
        self._check = check
        self._size_of = size_of
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._columns: LRUCache[tuple[str, int], NDArray[Any]] = LRUCache(
            REMEMBERED_BYTES, lambda a: a.nbytes
        )

    def column(self, name: str, shard: int) -> NDArray[Any]:
        """Return the values of array `name` for shard `shard`: one per image, or one per entry of the shard's row.

        Raises:
            DamagedDataset: `column-unreadable` if the stored chunks cannot be decoded, or a value is out of its range.
        """
        return self._columns.get((name, shard), lambda: self._load(name, shard))

    def texts(self, name: str, shard: int) -> Texts:
        """Return the values of a text column, such as `images/id`, one per image of the shard."""
        return Texts(self.column(name, shard), self.column(f"{name}_stop", shard))

    def spans(self, group: str, shard: int) -> NDArray[Any]:
        """Return where each image's part of its row begins and ends: unsigned [images, 2]."""

        def load() -> NDArray[Any]:
            self._check()
            start, stop = (self._load(f"{group}/{name}", shard) for name in ("start", "stop"))
            where = f"start and stop of {group} in shard {shard}"
            check_spans(start, stop, where)
            if group in WIDEST and len(stop) and int(stop[-1]) > MANY:
                self._require_entries(group, int(stop[-1]), where)
            return spans_of(start, stop)

        return self._columns.get((f"{group}/spans", shard), load)

    def _require_entries(self, group: str, count: int, where: str) -> None:
        """Raises `DamagedDataset` if a row of a table does not hold `count` entries: callers repeat values for each."""
        array = self.array(f"{group}/{WIDEST[group]}")
        try:
            if count > array.shape[1]:
                raise ValueError(f"a row has {array.shape[1]:,} entries")
            require_stored(array, count)
        except ValueError as error:
            raise damaged(f"{where} end at {count:,}, and {error}") from error

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array itself, opened once."""
        if name not in self._arrays:
            self._check()
            self._arrays[name] = open_array(self._group / name, *self._types[name])
        return self._arrays[name]

    def clear(self) -> None:
        """Empty the cache of columns and close the arrays."""
        self._columns.clear()
        self._arrays = {}

    @cached_property
    def _types(self) -> dict[str, tuple[str, tuple[int | None, ...]]]:
        """The type of each array, and the lengths of its dimensions but the first; None for any."""
        images = image_columns(self._layout)
        plain = [("images", images), ("labels", SPAN_COLUMNS), ("contradictions", SPAN_COLUMNS)]
        ragged = [("labels", LABEL_COLUMNS), ("contradictions", CONTRADICTION_COLUMNS)]
        return {
            "images/data": ("|u1", (None,)),
            **{f"{group}/{c.name}": (c.dtype, (None,)) for group, schema in ragged for c in schema},
            **{
                f"{group}/{c.name}": (c.dtype, (None,) if c.text else tail_of(c))
                for group, schema in plain
                for c in schema
            },
        }

    def _load(self, name: str, shard: int) -> NDArray[Any]:
        self._check()
        array = self.array(name)
        first = shard * self._layout.images_per_shard
        where = f"shard {shard} of {name}"
        try:
            if name in TEXTS:
                stops = self.column(f"{name}_stop", shard)
                count = int(stops[-1]) if len(stops) else 0
                values = taken(array, (shard, slice(0, count)), count)
            elif name.startswith("images/") or name.endswith(("/start", "/stop")):
                count = len(self._rows(shard))
                values = taken(array, slice(first, first + count), count)
            else:
                count = int(self.spans(name.partition("/")[0], shard)[-1, 1])
                values = taken(array, (shard, slice(0, count)), count)
            if len(values) != count:
                raise ValueError(f"it has {len(values)} of {count} values")
        except DamagedDataset:
            raise
        except Exception as error:
            raise damaged(f"{where} cannot be read: {error}") from error
        check_values(name, values, self._size_of, where)
        if name.endswith("_stop") and (values[1:] < values[:-1]).any():
            raise damaged(f"{where} goes back")
        values.flags.writeable = False
        return values


def spans_of(start: NDArray[Any], stop: NDArray[Any]) -> NDArray[Any]:
    """Return starts and stops side by side, in 32 bits if they fit, so that thousands of shards stay in memory.

    >>> spans_of(np.array([0, 5]), np.array([5, 9])).tolist()
    [[0, 5], [5, 9]]
    """
    dtype = np.uint32 if stop.size and int(stop.max()) < 1 << 32 else np.uint64
    return np.stack([start, stop], axis=1).astype(dtype)


def ranges(start: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers `start[i]`, `start[i] + 1`, … (`count[i]` of them) for each i, one after the other.

    >>> ranges(np.array([5, 0]), np.array([2, 1])).tolist()
    [5, 6, 0]
    """
    before = np.cumsum(count) - count
    found: NDArray[np.int64] = np.repeat(start - before, count) + np.arange(int(count.sum()))
    return found
