"""Arrow columns: their digest, and files of record batches that are mapped, not read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["digest_columns", "hash_names", "open_batches", "write_batches"]


def digest_columns(table: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> str:
    """sha256 over the values of the columns, whatever their chunks: little-endian numbers, lengths and UTF-8; hex.

    >>> a = pa.table({"x": pa.chunked_array([["a"], ["bc"]])})
    >>> digest_columns(a, ["x"]) == digest_columns(a.combine_chunks(), ["x"])
    True
    """
    digest = hashlib.sha256()
    for name in columns:
        column = table.column(name)
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        digest.update(f"{name}:{column.type}:{len(column)};".encode())
        for chunk in chunks:
            _lengths(digest, chunk)
        for chunk in chunks:
            _values(digest, chunk)
    return digest.hexdigest()


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
    """The first and the second 8 bytes of sha256(`prefix + name`) as big-endian numbers; uint64[n] each.

    The first orders the images, the second draws their split.
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
    """Writes an Arrow file whose n-th batch `open_batches(path).get_batch(n)` gives back."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)


def open_batches(path: Path) -> pa.ipc.RecordBatchFileReader:
    """An Arrow file mapped into memory."""
    return pa.ipc.open_file(pa.memory_map(str(path)))
