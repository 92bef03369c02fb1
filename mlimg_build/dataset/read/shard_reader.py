"""The fast path: read a byte range of a row of `images/data` with one `pread`, if the shard files allow it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import numpy as np

from mlimg_build.dataset.format.layout import data_codecs
from mlimg_build.dataset.read.lru import LRUCache
from mlimg_build.dataset.shard_index import ABSENT, index_bytes
from mlimg_build.errors import DamagedDataset, DatasetError, Problem
from mlimg_build.regular_files import open_regular, read_object

__all__ = ["ShardFile", "ShardRowReader"]

OPEN_FILES = 256
PREAD_LIMIT = 1 << 30
HAS_PREADV = hasattr(os, "preadv")


class ShardFile:
    """An open shard file; `stored` is the number of bytes that lie in it end to end, from its first chunk on.

    It is 0 if the file's own index says that chunks are missing, moved or of another length: then the bytes must be
    read through the array API. The file is closed with its last reference.

    Raises:
        DamagedDataset: `shard-truncated` or `shard-index-damaged`.
        DatasetError: `shard-unreadable` if the disk or the mount fails.
    """

    __slots__ = ("_descriptor", "_path", "stored")

    def __init__(self, path: Path, chunk_bytes: int, chunks: int) -> None:
        self._path = path
        self._descriptor = -1
        self._descriptor = self._open()
        try:
            self.stored = self._measure(chunk_bytes, chunks)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the descriptor; nothing can be read afterwards."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop` of the file, which holds at least that many."""
        data = self._pread(stop - start, start)
        if len(data) == stop - start:
            return data
        parts = [data]
        while data and (start := start + len(data)) < stop:
            data = self._pread(stop - start, start)
            parts.append(data)
        if start < stop:
            raise self._too_short()
        return b"".join(parts)

    def read_into(self, start: int, memory: memoryview) -> None:
        """Fill `memory` with the bytes of the file from `start` on, which holds at least that many."""
        if not HAS_PREADV:
            memory[:] = self.read(start, start + len(memory))
            return
        while memory:
            try:
                count = os.preadv(self._descriptor, [memory[:PREAD_LIMIT]], start)
            except OSError as error:
                raise self._unreadable(error) from error
            if not count:
                raise self._too_short()
            start, memory = start + count, memory[count:]

    def _pread(self, count: int, start: int) -> bytes:
        try:
            return os.pread(self._descriptor, min(count, PREAD_LIMIT), start)
        except OSError as error:  # the disk or the mount fails; the bytes may be whole
            raise self._unreadable(error) from error

    def _too_short(self) -> DamagedDataset:
        return self._damage("shard-truncated", f"shard file {self._path} is shorter than when it was opened")

    def _open(self) -> int:
        try:
            return open_regular(self._path)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> DatasetError:
        message = f"shard file {self._path} cannot be read: {error.strerror}"
        hint = "look at the disk and the mount, and run the same command again"
        return DatasetError(Problem("shard-unreadable", message, hint=hint))

    def _measure(self, chunk_bytes: int, chunks: int) -> int:
        size = os.fstat(self._descriptor).st_size
        tail = index_bytes(chunks)
        if size < tail:
            raise self._damage("shard-truncated", f"shard file {self._path} is too short to hold its index")
        raw = self._pread(tail, size - tail)
        if int(google_crc32c.value(raw[:-4])) != int.from_bytes(raw[-4:], "little"):
            message = f"the index of shard file {self._path} differs from its checksum"
            raise self._damage("shard-index-damaged", message)
        index = np.frombuffer(raw[:-4], "<u8").reshape(chunks, 2)
        stored = int((index[:, 1] != ABSENT).sum())
        expected = np.full((chunks, 2), ABSENT, "<u8")
        expected[:stored, 0] = np.arange(stored, dtype="<u8") * np.uint64(chunk_bytes)
        expected[:stored, 1] = chunk_bytes
        in_order = np.array_equal(index, expected) and size >= stored * chunk_bytes + tail
        return stored * chunk_bytes if in_order else 0

    @staticmethod
    def _damage(code: str, message: str) -> DamagedDataset:
        return DamagedDataset(Problem(code, message, hint="build the shard again, or fetch it again"))


class ReadBuffer:
    """Memory that one thread reads files into, again and again.

    Memory that is new at every read costs several times the read itself: the system fills each of its pages with zeros.
    """

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory = bytearray()

    def take(self, size: int) -> memoryview:
        """Return `size` bytes to write to; what was written before is lost."""
        if len(self._memory) < size:
            self._memory = bytearray(size + size // 4)
        return memoryview(self._memory)[:size]


class ShardRowReader:
    """Reads byte ranges of the rows of one `images/data`; keeps at most 256 files open.

    `check` is called before a file is opened.
    """

    def __init__(self, data: Path, check: Callable[[], None]) -> None:
        self._data = data
        self._check = check
        self._files: LRUCache[tuple[int, int], ShardFile] = LRUCache(OPEN_FILES, lambda _: 1)
        self._chunk_bytes, self._shard_bytes = _plain_sizes(data)

    def read(self, row: int, start: int, stop: int) -> bytes | None:
        """Return bytes `start` to `stop` of row `row`, or None if they must be read through the array API.

        Raises:
            DamagedDataset: if a shard file is truncated or its index differs from its checksum.
        """
        size = self._shard_bytes
        if not size:
            return None
        number, begin = divmod(start, size)
        if stop - start <= size - begin:
            return self._read_one(row, number, begin, begin + stop - start)
        parts = []
        while start < stop:
            number, begin = divmod(start, size)
            end = min(size, begin + stop - start)
            part = self._read_one(row, number, begin, end)
            if part is None:
                return None
            parts.append(part)
            start += end - begin
        return b"".join(parts)

    def read_into(self, row: int, start: int, memory: memoryview) -> bool:
        """Fill `memory` with the bytes of row `row` from `start` on; False if they must be read through the array API.

        Raises:
            DamagedDataset: if a shard file is truncated or its index differs from its checksum.
        """
        size = self._shard_bytes
        while size and memory:
            number, begin = divmod(start, size)
            part = memory[: size - begin]
            file = self._file(row, number)
            if file is None or begin + len(part) > file.stored:
                return False
            file.read_into(begin, part)
            start, memory = start + len(part), memory[len(part) :]
        return bool(size)

    def close(self) -> None:
        """Close all files, as soon as no thread reads from them."""
        self._files.clear()

    def _read_one(self, row: int, number: int, start: int, stop: int) -> bytes | None:
        file = self._file(row, number)
        return file.read(start, stop) if file is not None and stop <= file.stored else None

    def _file(self, row: int, number: int) -> ShardFile | None:
        """Return file `number` of a row; None if there is none."""
        try:
            return self._files.get((row, number), lambda: self._open(row, number))
        except FileNotFoundError:
            return None

    def _open(self, row: int, number: int) -> ShardFile:
        self._check()
        path = self._data / "c" / str(row) / str(number)
        return ShardFile(path, self._chunk_bytes, self._shard_bytes // self._chunk_bytes)


def _plain_sizes(data: Path) -> tuple[int, int]:
    """Return the sizes of chunk and shard in bytes, or (0, 0) if the files do not hold the bytes uncompressed."""
    try:
        metadata = read_object(data / "zarr.json")
        chunk_bytes = int(metadata["codecs"][0]["configuration"]["chunk_shape"][1])
        rows, shard_bytes = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        plain = (
            metadata["codecs"] == data_codecs(chunk_bytes)
            and metadata["data_type"] == "uint8"
            and metadata["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "/"}}
            and not metadata.get("storage_transformers")
            and rows == 1
            and shard_bytes % chunk_bytes == 0
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return 0, 0
    return (chunk_bytes, int(shard_bytes)) if plain else (0, 0)
