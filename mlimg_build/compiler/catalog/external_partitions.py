"""Partition rows by ranges of their key: in memory if they are few, in files if they are many."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlimg_build.compiler.catalog.arrow_tables import open_batches, write_batches

__all__ = ["BITS", "ExternalPartitions"]

BITS = 8  # leading bits of a key that number its range, if there are files
HELD = 128 << 20  # bytes of rows that are buffered before they are written


class ExternalPartitions:
    """Receives rows with a column `key` (uint64, evenly distributed) in any order and returns them range by range.

    A file has one buffer of `HELD` bytes, one record batch per range; so any number of rows can be sorted with the
    memory of one range, because keys are hashes and ranges have equal size. A thread writes one buffer while the next
    is filled. Memory: four times `HELD`. An `OSError` of the disk is raised by a later call.
    """

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self.schema = schema
        self._folder, self._name = folder, name
        self._rows: list[pa.RecordBatch] = []
        self._bytes = 0
        self._files: list[Path] = []
        self._writing: Future[None] | None = None
        self._writer = ThreadPoolExecutor(1)  # its thread starts with the first buffer

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if len(batch):
            self._rows.append(batch)
            self._bytes += batch.nbytes
        if self._bytes > HELD:
            self._begin_write()

    @property
    def in_files(self) -> bool:
        """Whether rows have been written to files."""
        return bool(self._files)

    def divide(self) -> None:
        """Write all rows that are left to a file, so that every row is in its range."""
        self._begin_write()
        self._end_write()
        self._writer.shutdown()

    def take(self, number: int) -> pa.Table:
        """Return the rows of a range in the order of their addition; without files, range 0 has all rows."""
        if not self._files:
            return pa.Table.from_batches(self._rows, self.schema)
        return pa.Table.from_batches(
            [open_batches(path).get_batch(number) for path in self._files], self.schema
        )

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows, range by range: rows with equal keys are in the same table."""
        if self.in_files:
            self.divide()
        yield from (self.take(number) for number in range(1 << BITS if self.in_files else 1))

    def _begin_write(self) -> None:
        self._end_write()
        path = self._folder / f"{self._name}-{len(self._files):04}.arrow"
        rows, self._rows, self._bytes = self._rows, [], 0
        self._files.append(path)
        self._writing = self._writer.submit(_write, path, pa.Table.from_batches(rows, self.schema))

    def _end_write(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()


def _write(path: Path, table: pa.Table) -> None:
    """Write a buffer of rows to a file, one record batch per range."""
    number = (table.column("key").to_numpy() >> np.uint64(64 - BITS)).astype(np.uint8)
    taken = table.take(pa.array(np.argsort(number, kind="stable"))).combine_chunks()
    (rows,) = taken.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)]
    ends = np.cumsum(np.bincount(number, minlength=1 << BITS)).tolist()
    write_batches(path, table.schema, (rows.slice(a, b - a) for a, b in pairwise([0, *ends])))
