"""The index at the end of a Zarr shard file: the offset and the length of each chunk."""

from __future__ import annotations

__all__ = ["ABSENT", "index_bytes"]

ABSENT = 2**64 - 1
"""Offset and length of a chunk that is not stored."""


def index_bytes(chunks: int) -> int:
    """Return the bytes of the index of a shard file of `chunks` chunks: (offset, length) pairs and a CRC.

    >>> index_bytes(512)
    8196
    """
    return 16 * chunks + 4
