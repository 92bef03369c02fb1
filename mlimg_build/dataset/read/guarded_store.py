"""The files of an array, read for Zarr: regular ones only, and no more memory than their size accounts for."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore

from mlimg_build.regular_files import open_regular

__all__ = ["FREE", "RATIO", "GuardedStore", "allowed_bytes"]

FREE = 256 << 20  # bytes that may be unpacked from a file of any size
RATIO = 1024  # bytes that may be unpacked from each byte of a larger one
ZSTD = b"\x28\xb5\x2f\xfd"


class GuardedStore(LocalStore):
    """A folder that is read only. Values with the codecs zstd and blosc say their size; gzip packs to a thousandth."""

    def __init__(self, root: Path, codecs: Collection[str]) -> None:
        super().__init__(root, read_only=True)
        self._zstd, self._blosc = "zstd" in codecs, "blosc" in codecs

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the value of a key, None if there is none.

        Raises:
            OSError: if it is no regular file, or cannot be read.
            ValueError: if it would be unpacked to more than `allowed_bytes`.
        """
        kind = (prototype or default_buffer_prototype()).buffer
        found = await asyncio.to_thread(self._read, key, byte_range)
        return None if found is None else kind.from_bytes(found)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return the values of several keys; as `get`."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        try:
            descriptor = open_regular(self.root / key)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        with os.fdopen(descriptor, "rb") as stream:
            size = os.fstat(descriptor).st_size
            start, stop = _span(byte_range, size)
            stream.seek(start)
            data = stream.read(max(0, stop - start))
        unpacked = 0
        if self._zstd and data.startswith(ZSTD):
            unpacked = unpacked_bytes(data)
        elif self._blosc:
            unpacked = int.from_bytes(data[4:8], "little")
        if unpacked > allowed_bytes(len(data)):
            raise ValueError(f"{key} of {len(data):,} bytes would become {unpacked:,}")
        return data


def allowed_bytes(stored: int) -> int:
    """Return how many bytes may be unpacked from `stored` ones.

    >>> allowed_bytes(0) == 2**28, allowed_bytes(2**20) == 2**30
    (True, True)
    """
    return max(FREE, RATIO * stored)


def unpacked_bytes(frame: bytes) -> int:
    """Return the size that a Zstandard frame gives for its content.

    Source: RFC 8878, 3.1.1.1, the frame header.

    >>> unpacked_bytes(bytes.fromhex("28b52ffd844840420f00"))
    1000000

    Raises:
        ValueError: if it gives none.
    """
    flags = frame[4] if len(frame) > 4 else 0
    single = flags >> 5 & 1
    length = (single, 2, 4, 8)[flags >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    if not length or len(frame) < start + length:
        raise ValueError("it is compressed and does not say to what size")
    return int.from_bytes(frame[start : start + length], "little") + (256 if length == 2 else 0)


def _span(byte_range: ByteRequest | None, size: int) -> tuple[int, int]:
    match byte_range:
        case None:
            return 0, size
        case RangeByteRequest(start, end):
            return start, min(end, size)
        case OffsetByteRequest(offset):
            return offset, size
        case SuffixByteRequest(suffix):
            return max(0, size - suffix), size
