"""Encode chunks of small arrays as zarr-python does, byte for byte but faster, and pack many of them into one file.

One file per chunk would cost more than its content, so a shard's label chunks stay in one file until a dataset is
assembled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import ZSTD_LEVEL
from mlimg_build.regular_files import read_regular

__all__ = [
    "PACK",
    "pack_chunks",
    "ragged_chunks",
    "read_chunks",
    "read_column",
    "span_chunks",
    "unpack_chunks",
]

PACK = "chunks"
BIGGEST = 1 << 40  # bytes: as long as the labels of a shard are, they are read whole

ByteRanges = dict[str, list[int]]


def span_chunks(name: str, values: NDArray[Any], chunk_rows: int) -> Iterator[tuple[str, bytes]]:
    """Yield the key and the bytes of the only chunk of array `name` [row]; nothing if all values are 0."""
    yield from _encoded(f"{name}/c/0", _padded(values, chunk_rows))


def ragged_chunks(name: str, values: NDArray[Any], chunk: int) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and the bytes of the chunks of row 0 of array `name` [shard, entry], except those that are all 0.

    A chunk has `chunk` entries.
    """
    for number, start in enumerate(range(0, len(values), chunk)):
        yield from _encoded(f"{name}/c/0/{number}", _padded(values[start : start + chunk], chunk))


def pack_chunks(folder: Path, chunks: Mapping[str, bytes]) -> ByteRanges:
    """Write all chunks to one file of `folder`; return where each begins and ends in it, by its key."""
    places: ByteRanges = {}
    start = 0
    for key, data in chunks.items():
        places[key] = [start, start + len(data)]
        start += len(data)
    (folder / PACK).write_bytes(b"".join(chunks.values()))
    return places


def unpack_chunks(folder: Path, places: Mapping[str, list[int]]) -> Iterator[tuple[str, bytes]]:
    """Yield the key and the bytes of every chunk that `pack_chunks` put into `folder`."""
    data = read_regular(folder / PACK, BIGGEST)
    for key, (start, stop) in places.items():
        yield key, data[start:stop]


def read_chunks(
    folder: Path, places: Mapping[str, list[int]], columns: Mapping[str, tuple[str, int]], size: int
) -> dict[str, NDArray[Any]]:
    """Return the values of some arrays that `pack_chunks` put into `folder`: name → values.

    `columns` gives the dtype and the length of each; arrays [row] and [shard, entry] are both read as one row.
    A chunk of the latter has `size` entries.
    """
    data = read_regular(folder / PACK, BIGGEST)
    found: dict[str, NDArray[Any]] = {}
    for name, (dtype, length) in columns.items():
        values = np.zeros(length, dtype)
        for key in (key for key in places if key.startswith(f"{name}/c/0")):
            number = key.removeprefix(f"{name}/c/0").removeprefix("/")
            start, stop = places[key]
            chunk = np.frombuffer(_zstd().decode(data[start:stop]), dtype)
            first = int(number or 0) * size
            values[first : first + len(chunk)] = chunk[: length - first]
        found[name] = values
    return found


def read_column(path: Path, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the first rows of an array [row, …] that has one chunk, in the file `path`; zeros if there is none.

    Three times as fast as opening the array.

    Raises:
        OSError: if the file cannot be read.
        RuntimeError: if it cannot be decoded.
        ValueError: if it has fewer rows.
    """
    try:
        data = read_regular(path, BIGGEST)
    except FileNotFoundError:
        return np.zeros(shape, dtype)
    values = np.frombuffer(_zstd().decode(data), dtype)
    return values[: math.prod(shape)].reshape(shape)


def _padded(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Return the values padded with the fill value, 0, to `length`: Zarr stores the last chunk whole."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if len(little) == length:
        return np.ascontiguousarray(little)
    whole = np.zeros(length, little.dtype)
    whole[: len(little)] = little
    return whole


def _encoded(key: str, chunk: NDArray[Any]) -> Iterator[tuple[str, bytes]]:
    bits = chunk.view(f"u{chunk.itemsize}")  # so that -0.0 is not taken for 0
    if bits[0] or bits.any():  # a chunk of nothing but the fill value is not stored
        yield key, _zstd().encode(chunk.view(np.uint8))


@cache
def _zstd() -> Zstd:
    return Zstd(level=ZSTD_LEVEL, checksum=True)
