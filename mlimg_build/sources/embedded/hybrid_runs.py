"""Unpack the numbers of a Parquet page that are written in runs: definition levels and codes of a dictionary.

Apache Parquet, Encodings.md: RLE/bit-packing hybrid (RLE = 3).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.lists.thrift_structs import varint

__all__ = ["unpack_runs"]

WIDEST = 31  # bits of a number
AT_A_TIME = 1 << 15  # groups of eight numbers that are unpacked at a time


def unpack_runs(data: bytes | memoryview, width: int, count: int) -> npt.NDArray[np.int32]:
    """Return the first `count` numbers of `width` bits each.

    >>> unpack_runs(bytes([6, 1, 3, 0b10001000, 0b11000110, 0b11111010]), 3, 7).tolist()
    [1, 1, 1, 0, 1, 2, 3]

    Raises:
        ValueError: if they cannot be followed, or are fewer.
    """
    if not 0 <= width <= WIDEST:
        raise ValueError("a page has numbers of another width")
    found = np.zeros(count, np.int32)
    if width == 0:
        return found
    at = done = 0
    while done < count:
        try:
            head, at = varint(data, at)
        except IndexError:
            raise ValueError("a page ends within its numbers") from None
        length = head >> 1
        if length == 0:
            raise ValueError("a page has a run of no number")
        if head & 1:
            taken = min(length, -(-(count - done) // 8))
            if at + taken * width > len(data):
                raise ValueError("a page ends within its numbers")
            for first in range(0, taken, AT_A_TIME):
                last = min(first + AT_A_TIME, taken)
                some = _unpack(data[at + first * width : at + last * width], width)[: count - done]
                found[done : done + len(some)] = some
                done += len(some)
            at += length * width
        else:
            size = (width + 7) // 8
            if at + size > len(data):
                raise ValueError("a page ends within its numbers")
            taken = min(length, count - done)
            found[done : done + taken] = int.from_bytes(data[at : at + size], "little") & ((1 << width) - 1)
            done += taken
            at += size
    return found


def _unpack(data: bytes | memoryview, width: int) -> npt.NDArray[np.int32]:
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, width)
    numbers: npt.NDArray[np.int32] = bits.astype(np.int32) @ (np.int32(1) << np.arange(width, dtype=np.int32))
    return numbers
