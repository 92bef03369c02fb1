"""Read columns of a dataset shard by shard through Zarr, and keep the last ones used in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.read.lru import LRUCache
from mlimg_build.errors import DamagedDataset, Problem

__all__ = ["ColumnReader", "ranges", "read_array", "read_texts", "spans_of"]

REMEMBERED_BYTES = 256 << 20
TEXTS = ("images/id", "images/author")


class ColumnReader:
    """The arrays of one split by name, such as `images/id` or `labels/category`, one shard at a time.

    Up to 256 MiB of columns stay in memory. `check` is called before anything is read from the disk.
    """

    def __init__(
        self, group: Path, images_per_shard: int, rows: Callable[[int], range], check: Callable[[], None]
    ) -> None:
        """`rows` returns the rows of a shard; a shard has `images_per_shard` positions, of which it may fill fewer."""
        self._group = group
        self._per_shard = images_per_shard
        self._rows = rows
        self._check = check
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._columns: LRUCache[tuple[str, int], NDArray[Any]] = LRUCache(
            REMEMBERED_BYTES, lambda a: a.nbytes
        )

    def column(self, name: str, shard: int) -> NDArray[Any]:
        """Return the values of array `name` for shard `shard`: one per image, or one per entry of the shard's row.

        Raises:
            DamagedDataset: `column-unreadable` if the stored chunks cannot be decoded.
        """
        return self._columns.get((name, shard), lambda: self._load(name, shard))

    def texts(self, name: str, shard: int) -> Texts:
        """Return the values of a text column, such as `images/id`, one per image of the shard."""
        return Texts(self.column(name, shard), self.column(f"{name}_stop", shard))

    def spans(self, group: str, shard: int) -> NDArray[Any]:
        """Return where each image's part of its row begins and ends: unsigned [images, 2]."""

        def load() -> NDArray[Any]:
            self._check()
            values = [self._load(f"{group}/{name}", shard) for name in ("start", "stop")]
            return spans_of(*values)

        return self._columns.get((f"{group}/spans", shard), load)

    def array(self, name: str) -> zarr.Array[Any]:
        """Return the Zarr array itself, opened once."""
        if name not in self._arrays:
            self._check()
            self._arrays[name] = _open(self._group / name)
        return self._arrays[name]

    def clear(self) -> None:
        """Empty the cache of columns and close the arrays."""
        self._columns.clear()
        self._arrays = {}

    def _load(self, name: str, shard: int) -> NDArray[Any]:
        self._check()
        array = self.array(name)
        first = shard * self._per_shard
        try:
            if name in TEXTS:
                stops = self.column(f"{name}_stop", shard)
                count = int(stops[-1]) if len(stops) else 0
                values = np.asarray(array[shard, :count])
            elif name.startswith("images/") or name.endswith(("/start", "/stop")):
                count = len(self._rows(shard))
                values = np.asarray(array[first : first + count])
            else:
                count = int(self.spans(name.partition("/")[0], shard)[-1, 1])
                values = np.asarray(array[shard, :count])
            if len(values) != count:
                raise ValueError(f"it has {len(values)} of {count} values")
        except DamagedDataset:
            raise
        except Exception as error:
            message = f"shard {shard} of {name} cannot be read: {error}"
            raise DamagedDataset(Problem("column-unreadable", message, hint="run `mlimg verify`")) from error
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


def read_array(path: Path) -> NDArray[Any]:
    """Return the whole array at `path`.

    Raises:
        DamagedDataset: `column-unreadable` if it cannot be opened or decoded.
    """
    array = _open(path)
    try:
        return np.asarray(array[...])
    except Exception as error:
        message = f"array {path.parent.name}/{path.name} cannot be read: {error}"
        raise DamagedDataset(Problem("column-unreadable", message, hint="run `mlimg verify`")) from error


def read_texts(folder: Path, name: str) -> Texts:
    """Return the text column `name` of a table, or of one shard's images. Raises the errors of `read_array`."""
    return Texts(read_array(folder / name).reshape(-1), read_array(folder / f"{name}_stop"))


def _open(path: Path) -> zarr.Array[Any]:
    try:
        return zarr.open_array(str(path), mode="r", zarr_format=3)
    except Exception as error:
        message = f"array {path.parent.name}/{path.name} cannot be opened: {error}"
        raise DamagedDataset(Problem("column-unreadable", message, hint="run `mlimg verify`")) from error
