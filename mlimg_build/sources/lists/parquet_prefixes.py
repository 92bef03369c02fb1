"""Measure the texts of a Parquet page that share their beginnings, without making them.

Apache Parquet, Encodings.md: DELTA_BYTE_ARRAY, whose lengths are two blocks of DELTA_BINARY_PACKED.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.lists.thrift_structs import varint

__all__ = ["delta_lengths", "text_total"]

HEAD = 64 << 20  # bytes of a page in which its lengths are looked for
MOST = 1 << 22  # most texts of a page that are measured
AT_A_TIME = 1 << 17  # lengths that are unpacked at a time
MOST_STEP = 1 << 34
WIDEST = 32  # bits of a length
RUNS, RUN = 1 << 9, 1 << 16  # most runs of a block, most lengths of a run


def text_total(page: bytes | memoryview) -> tuple[int, int]:
    """Return the bytes that all texts of a page have together, and those of the longest.

    `page` is unpacked and begins behind its levels. Raises `ValueError` or `IndexError` if its lengths cannot be
    followed, or are more than are measured.
    """
    head = bytes(page[:HEAD]) + bytes(8)
    shared, at = delta_lengths(head, 0)
    own, _ = delta_lengths(head, at)
    if len(shared) != len(own):
        raise ValueError("a page has not as many beginnings as texts")
    both = shared + own
    return int(both.sum()), int(both.max(initial=0))


def delta_lengths(head: bytes, at: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the numbers of a DELTA_BINARY_PACKED block, behind which `head` has 8 bytes or more, and where it ends.

    Raises `ValueError` or `IndexError` if they cannot be followed, or are more than are measured.
    """
    size, at = varint(head, at)
    runs, at = varint(head, at)
    count, at = varint(head, at)
    first, at = _zigzag(head, at)
    if not 0 < runs <= RUNS or size % (32 * runs) or not 0 < size // runs <= RUN or count > MOST:
        raise ValueError("a page has lengths of another form, or too many")
    each = size // runs
    starts: list[int] = []
    widths: list[int] = []
    least: list[int] = []
    left = count - 1
    while left > 0:
        smallest, at = _zigzag(head, at)
        wide = head[at : at + runs]
        at += runs
        for width in wide:
            if left <= 0:
                break
            if width > WIDEST or at >= len(head):
                raise ValueError("a length is too wide, or behind the page")
            starts.append(at)
            widths.append(width)
            least.append(smallest)
            at += each * width // 8
            left -= each
        if len(wide) < runs:
            raise IndexError("a page ends within its lengths")
    if at > len(head) - 8:
        raise IndexError("a page ends within its lengths")
    steps = _unpacked(head, starts, widths, least, each)[: max(count - 1, 0)]
    total = np.cumsum(np.append(first, steps))[:count]
    numbers = total.astype(np.int32).astype(np.int64)  # as 32 bits overflow
    if numbers.min(initial=0) < 0:
        raise ValueError("a page has a length below zero")
    return numbers, at


def _unpacked(
    head: bytes, starts: list[int], widths: list[int], least: list[int], each: int
) -> npt.NDArray[np.int64]:
    """Return the numbers of the runs: `each` for one, of its width and added to its least."""
    # the words that begin at each byte
    words: npt.NDArray[np.uint64] = np.ndarray((len(head) - 7,), "<u8", head, 0, (1,))
    start, width, add = (np.array(column, np.int64)[:, None] for column in (starts, widths, least))
    place = np.arange(each)[None]
    found = [np.empty(0, np.int64)]
    together = max(AT_A_TIME // each, 1)
    for i in range(0, len(starts), together):
        part = slice(i, i + together)
        bit = start[part] * 8 + place * width[part]
        mask = (np.int64(1) << width[part]) - 1
        word = (words[np.minimum(bit >> 3, len(words) - 1)] >> (bit & 7).astype(np.uint64)).astype(np.int64)
        found.append(((word & mask) + add[part]).ravel())
    return np.concatenate(found)


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = varint(data, at)
    if value > MOST_STEP:
        raise ValueError("a number is larger than a length can be")
    return (value >> 1) ^ -(value & 1), at
