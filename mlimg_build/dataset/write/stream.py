"""The bytes of one row of `images/data`, written directly as the shard files that zarr-python would write."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from mlimg_build.dataset.shard_index import ABSENT

__all__ = ["ShardWriter"]


class ShardWriter:
    """Writes bytes end to end to DIRECTORY/c/0/0, c/0/1, …; `close` ends the last file.

    Chunks are `chunk_bytes` long, the last one padded with zeros; a chunk of zeros is not stored, nor a file
    without chunks, as in Zarr. Each file ends with its index and the index's CRC-32C. Memory: one chunk.
    Source: Zarr v3 specification, codecs `sharding_indexed` 1.0 and `crc32c`.
    """

    def __init__(self, directory: Path, chunk_bytes: int, chunks_per_file: int) -> None:
        self._row = directory / "c" / "0"
        self._chunk_bytes = chunk_bytes
        self._chunks_per_file = chunks_per_file
        self._buffer = bytearray(chunk_bytes)
        self._filled = 0
        self._chunk = 0
        self._file_number = 0
        self._file: BinaryIO | None = None
        self._index = self._empty_index()
        self.length = 0

    def write(self, data: bytes) -> None:
        """Append `data`; `length` grows by its size."""
        rest = memoryview(data)
        self.length += len(rest)
        while rest:
            if not self._filled and len(rest) >= self._chunk_bytes:
                self._put(rest[: self._chunk_bytes])
                rest = rest[self._chunk_bytes :]
                continue
            taken = min(self._chunk_bytes - self._filled, len(rest))
            self._buffer[self._filled : self._filled + taken] = rest[:taken]
            self._filled += taken
            rest = rest[taken:]
            if self._filled == self._chunk_bytes:
                self._put(memoryview(self._buffer))
                self._filled = 0

    def close(self) -> None:
        """Pad the last chunk, write the index of the last file, and sync all files to the disk."""
        if self._filled:
            self._buffer[self._filled :] = bytes(self._chunk_bytes - self._filled)
            self._put(memoryview(self._buffer))
            self._filled = 0
        if self._chunk:
            self._end_file()

    def abandon(self) -> None:
        """Close the open file, if any, as it is."""
        if self._file is not None:
            with suppress(OSError):  # closing flushes, and the disk may be full
                self._file.close()
            self._file = None

    def _put(self, chunk: memoryview) -> None:
        if np.frombuffer(chunk, np.uint8).any():
            if self._file is None:
                self._row.mkdir(parents=True, exist_ok=True)
                self._file = (self._row / str(self._file_number)).open("wb")
            self._index[self._chunk] = self._file.tell(), self._chunk_bytes
            self._file.write(chunk)
        self._chunk += 1
        if self._chunk == self._chunks_per_file:
            self._end_file()

    def _end_file(self) -> None:
        if self._file is not None:
            index = self._index.tobytes()
            self._file.write(index + int(google_crc32c.value(index)).to_bytes(4, "little"))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        self._index = self._empty_index()
        self._file_number += 1
        self._chunk = 0

    def _empty_index(self) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
        return np.full((self._chunks_per_file, 2), ABSENT, "<u8")
