"""Digest Arrow columns, and read tables from memory-mapped files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["StoredTable", "digest_columns", "hash_names", "open_batches", "write_batches"]

MAPPED = 8  # record batches that are mapped at a time, so that a pass over a file never keeps all its pages


class StoredTable:
    """A table in an Arrow file that is mapped only while some of it is in use.

    What `slice` and `batches` return keeps only its own mapping alive, so memory depends on what is in use, not on
    the size of the file. With `draws`, the column `draw` is read from the Arrow file at this path, row by row.
    """

    def __init__(self, path: Path, draws: Path | None = None) -> None:
        self.path = path
        reader = open_batches(path)
        self.schema: pa.Schema = reader.schema
        self._ends = np.cumsum([reader.get_batch(i).num_rows for i in range(reader.num_record_batches)])
        self._draws = None if draws is None else StoredTable(draws)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredTable) and (self.path, self._draws) == (other.path, other._draws)

    def __hash__(self) -> int:
        return hash((self.path, self._draws))

    def slice(self, start: int, length: int) -> pa.Table:
        """Return the rows from `start` on: `length` of them, or fewer at the end of the table."""
        stop = min(start + length, len(self))
        first = int(np.searchsorted(self._ends, start, side="right"))
        last = int(np.searchsorted(self._ends, stop, side="left"))
        reader = open_batches(self.path)
        batches = [reader.get_batch(i) for i in range(first, last + 1)] if stop > start else []
        skipped = start - (int(self._ends[first - 1]) if first else 0)
        table = pa.Table.from_batches(batches, self.schema).slice(skipped, max(stop - start, 0))
        if self._draws is None:
            return table
        drawn = self._draws.slice(start, length).column("draw")
        return table.set_column(self.schema.get_field_index("draw"), "draw", drawn)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, in the stored record batches, with these columns or with all."""
        for first in range(0, len(self._ends), MAPPED):
            reader = open_batches(self.path)
            for i in range(first, min(first + MAPPED, len(self._ends))):
                batch = reader.get_batch(i)
                if self._draws is not None:
                    start = int(self._ends[i]) - len(batch)
                    drawn = self._draws.slice(start, len(batch)).column("draw").combine_chunks()
                    batch = batch.set_column(self.schema.get_field_index("draw"), "draw", drawn)
                yield batch if columns is None else batch.select(columns)

    def chunks(self, column: str) -> Iterator[pa.Array]:
        """Yield the values of one column, batch by batch."""
        for batch in self.batches([column]):
            yield batch.column(0)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return the whole column; it stays mapped as long as it is in use."""
        return pa.chunked_array(list(self.chunks(name)), self.schema.field(name).type)


def digest_columns(table: pa.Table | pa.RecordBatch | StoredTable, columns: Sequence[str]) -> str:
    """Return the sha256 (hex) of the columns' values, independent of their chunks.

    It covers names, types and row counts, then little-endian numbers, lengths and UTF-8.

    >>> a = pa.table({"x": pa.chunked_array([["a"], ["bc"]])})
    >>> digest_columns(a, ["x"]) == digest_columns(a.combine_chunks(), ["x"])
    True
    """
    digest = hashlib.sha256()
    for name in columns:
        digest.update(f"{name}:{table.schema.field(name).type}:{len(table)};".encode())
        for chunk in _chunks(table, name):
            _lengths(digest, chunk)
        for chunk in _chunks(table, name):
            _values(digest, chunk)
    return digest.hexdigest()


def _chunks(table: pa.Table | pa.RecordBatch | StoredTable, name: str) -> Iterable[pa.Array]:
    if isinstance(table, StoredTable):
        return table.chunks(name)
    column = table.column(name)
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _lengths(digest: hashlib._Hash, array: pa.Array) -> None:
    if pa.types.is_list(array.type):
        digest.update(pc.list_value_length(array).to_numpy().astype("<i4", copy=False).data)
    elif pa.types.is_string(array.type):
        digest.update(pc.binary_length(array).to_numpy().astype("<i4", copy=False).data)


def _values(digest: hashlib._Hash, array: pa.Array) -> None:
    if pa.types.is_list(array.type):
        _values(digest, pc.list_flatten(array))
    elif pa.types.is_string(array.type):
        if len(array):
            first, last = array.offset, array.offset + len(array)
            offsets = np.frombuffer(array.buffers()[1], dtype=np.int32)
            data = array.buffers()[2]
            if data is not None:
                digest.update(memoryview(data)[offsets[first] : offsets[last]])
    else:
        values = array.to_numpy(zero_copy_only=False)
        digest.update(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False)).data)


def hash_names(prefix: str, names: Iterable[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the first and the second 8 bytes of sha256(`prefix + name`) as big-endian numbers; uint64[n] each.

    The first sorts the images, the second draws their split.
    """
    start = hashlib.sha256(prefix.encode())
    digests = bytearray()
    for name in names:
        whole = start.copy()
        whole.update(name.encode())
        digests += whole.digest()[:16]
    pairs = np.frombuffer(bytes(digests), dtype=">u8").reshape(-1, 2).astype(np.uint64)
    return pairs[:, 0], pairs[:, 1]


def write_batches(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write an Arrow file whose n-th batch `open_batches(path).get_batch(n)` returns."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def open_batches(path: Path) -> pa.ipc.RecordBatchFileReader:
    """Return a reader of the Arrow file at `path`, mapped into memory."""
    return pa.ipc.open_file(pa.memory_map(str(path)))
