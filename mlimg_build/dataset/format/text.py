"""Columns of text: the bytes of all values end to end, and where each ends. Zarr v3 has no stable type for strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.errors import DatasetError, Problem

__all__ = ["ENCODING", "Texts", "encode", "pack"]

ENCODING = "utf-8"
MOST = (1 << 32) - 1  # bytes at most of a column of one shard or table


@dataclass(frozen=True, slots=True)
class Texts(Sequence[str]):
    """A column of text that was read: `data` is uint8[bytes], `stops` uint32[n]; value i ends at `stops[i]`.

    Bytes that are not UTF-8 show as U+FFFD.

    >>> texts = Texts(*pack(["cat", "", "é"], "name"))
    >>> len(texts), texts[2], texts.raw(0), list(texts), texts.take(np.array([2, 0]))
    (3, 'é', b'cat', ['cat', '', 'é'], ['é', 'cat'])
    """

    data: NDArray[np.uint8]
    stops: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.stops)

    def raw(self, number: int) -> bytes:
        """Return the bytes of one value."""
        start = int(self.stops[number - 1]) if number else 0
        return self.data[start : int(self.stops[number])].tobytes()

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return self.take(np.arange(len(self))[number])
        return self.raw(range(len(self))[number]).decode(errors="replace")

    def tolist(self) -> list[str]:
        """Return all values."""
        whole = self.data.tobytes()
        return [whole[a:b].decode(errors="replace") for a, b in pairwise([0, *self.stops.tolist()])]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def take(self, numbers: Iterable[int]) -> list[str]:
        """Return the values with these numbers."""
        return [self.raw(int(number)).decode(errors="replace") for number in numbers]


def encode(value: str, column: str) -> bytes:
    """Return `value` in UTF-8, after a check for zero bytes.

    >>> encode("dog", "name")
    b'dog'

    Raises:
        DatasetError: `text-has-zero` if it has one.
    """
    raw = value.encode()
    if b"\0" in raw:
        message = f"{column} {value!r} holds a zero byte"
        raise DatasetError(Problem("text-has-zero", message, hint="remove the zero byte from the source"))
    return raw


def pack(values: Iterable[str | bytes], column: str) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the two columns of a text: the bytes, uint8[bytes], and the end of each value, uint32[values].

    >>> [part.tolist() for part in pack(["cat", "é"], "name")]
    [[99, 97, 116, 195, 169], [3, 5]]

    Raises:
        DatasetError: `text-has-zero`, and `text-too-long` if all together take 4 GiB or more.
    """
    raw = [value if isinstance(value, bytes) else encode(value, column) for value in values]
    stops = np.cumsum([len(one) for one in raw], dtype=np.int64)
    if len(stops) and stops[-1] > MOST:
        message = f"column {column} takes {int(stops[-1])} bytes and may take {MOST}"
        raise DatasetError(Problem("text-too-long", message, hint="make smaller shards"))
    return np.frombuffer(b"".join(raw), np.uint8), stops.astype("<u4")
