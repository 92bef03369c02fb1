"""Rows grouped by ranges of their key: in memory while they are few, in files once they are many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlimg_build.compiler.catalog.arrow_tables import open_batches, write_batches

__all__ = ["BITS", "KeyRanges"]

BITS = 8  # leading bits of a key that say which range it is in, where there are files
HELD = 128 << 20  # bytes of rows in memory, before they are written


class KeyRanges:
    """Takes rows with a column `key` (uint64, evenly spread) in any order and gives them back range by range.

    A file holds the rows of one share of `HELD` bytes, one record batch a range; so any number of rows is sorted
    with the memory of one range, as keys are hashes and ranges are of one size. Memory: three times `HELD`.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self.schema = schema
        self._folder, self._name = folder, name
        self._rows: list[pa.RecordBatch] = []
        self._bytes = 0
        self._files: list[Path] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows in."""
        if len(batch):
            self._rows.append(batch)
            self._bytes += batch.nbytes
        if self._bytes > HELD:
            self._write()

    @property
    def in_files(self) -> bool:
        """Whether some rows were too many for memory."""
        return bool(self._files)

    def divide(self) -> None:
        """All rows are in files, and so in ranges."""
        self._write()

    def take(self, number: int) -> pa.Table:
        """The rows of a range, in the order in which they were added; all rows are in range 0 without files."""
        if not self._files:
            return pa.Table.from_batches(self._rows, self.schema)
        return pa.Table.from_batches(
            [open_batches(path).get_batch(number) for path in self._files], self.schema
        )

    def tables(self) -> Iterator[pa.Table]:
        """All rows, range by range: those of equal keys are in one table."""
        if self.in_files:
            self.divide()
        yield from (self.take(number) for number in range(1 << BITS if self.in_files else 1))

    def _write(self) -> None:
        table = pa.Table.from_batches(self._rows, self.schema)
        self._rows, self._bytes = [], 0
        number = (_keys(table) >> np.uint64(64 - BITS)).astype(np.uint8)
        rows = table.take(pa.array(np.argsort(number, kind="stable"))).combine_chunks()
        ends = np.cumsum(np.bincount(number, minlength=1 << BITS))
        path = self._folder / f"{self._name}-{len(self._files):04}.arrow"
        write_batches(
            path, self.schema, (_batch(rows, *span) for span in zip([0, *ends[:-1]], ends, strict=True))
        )
        self._files.append(path)


def _keys(table: pa.Table) -> np.ndarray:
    keys: np.ndarray = table.column("key").to_numpy()
    return keys


def _batch(rows: pa.Table, start: int, stop: int) -> pa.RecordBatch:
    """These rows as one batch, which may have none."""
    columns = [column.combine_chunks() for column in rows.slice(int(start), int(stop - start)).columns]
    return pa.record_batch(columns, schema=rows.schema)
