"""Chunk files of small arrays, written straight to disk: byte for byte what zarr-python writes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from .layout import ENTRIES_PER_CHUNK, ZSTD_LEVEL

__all__ = ["flat_name", "write_ragged_chunks", "write_span_chunk"]


def flat_name(key: str) -> str:
    """The file, in one folder, that holds the chunk of this key.

    >>> flat_name("labels/category/c/0/1")
    'labels.category.c.0.1'
    """
    return key.replace("/", ".")


def write_span_chunk(folder: Path, name: str, values: NDArray[Any], chunk_rows: int) -> dict[str, int]:
    """The only chunk of array `name` [row] lies in `folder`; gives its size by its key, nothing where all are 0."""
    return _write(folder, f"{name}/c/0", _padded(values, chunk_rows))


def write_ragged_chunks(folder: Path, name: str, values: NDArray[Any]) -> dict[str, int]:
    """The chunks of row 0 of array `name` [shard, entry] lie in `folder`; gives their sizes by their keys."""
    sizes: dict[str, int] = {}
    for number, start in enumerate(range(0, len(values), ENTRIES_PER_CHUNK)):
        chunk = _padded(values[start : start + ENTRIES_PER_CHUNK], ENTRIES_PER_CHUNK)
        sizes |= _write(folder, f"{name}/c/0/{number}", chunk)
    return sizes


def _padded(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Zarr stores the last chunk whole, filled up with the fill value, 0."""
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if len(little) == length:
        return np.ascontiguousarray(little)
    whole = np.zeros(length, little.dtype)
    whole[: len(little)] = little
    return whole


def _write(folder: Path, key: str, chunk: NDArray[Any]) -> dict[str, int]:
    raw = chunk.view(np.uint8)
    if not raw.any():  # a chunk of nothing but the fill value is not stored
        return {}
    data = _zstd().encode(raw)
    (folder / flat_name(key)).write_bytes(data)
    return {key: len(data)}


@cache
def _zstd() -> Zstd:
    return Zstd(level=ZSTD_LEVEL, checksum=True)
