"""The order in which images are trained on: a pure function of seed and position, so any step can be resumed.

The order of shards is shuffled, and then the images within each window of shards: reads stay near each other on the
disk, and neighbours in a shard still go to different batches. Shuffling is sorting by a hash, because a new version of
a library may change the stream of its random generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ShuffleOrder", "splitmix64"]

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(*values: int | NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash numbers (modulo 2^64) and arrays of them: uint64, one per element.

    The finaliser of SplitMix64 over each value in turn. Source: Steele, Lea and Flood, OOPSLA 2014, "Fast splittable
    pseudorandom number generators".

    >>> int(splitmix64(0, 1)) != int(splitmix64(1, 0))
    True
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for value in values:
            number = np.uint64(value % 2**64) if isinstance(value, int) else value
            state = (state ^ number) + _INCREMENT
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state


@dataclass(slots=True)
class _Window:
    at: tuple[int, int]
    rows: NDArray[np.int64]


class ShuffleOrder:
    """Endless passes over the rows of a split; every pass has each usable row once.

    `usable[s]` says for each image of shard *s* whether it takes part, `window` is the number of shards whose images
    are mixed.

    >>> order = ShuffleOrder([np.ones(4, bool), np.ones(2, bool)], window=2, seed=1)
    >>> sorted(order.rows(0, 6).tolist()), len(order)
    ([0, 1, 2, 3, 4, 5], 6)
    """

    def __init__(self, usable: Sequence[NDArray[np.bool_]], window: int, seed: int) -> None:
        self._masks = [np.packbits(mask) for mask in usable]
        self._counts = np.array([int(mask.sum()) for mask in usable], np.int64)
        self._first = np.cumsum([0, *(len(mask) for mask in usable)]).astype(np.int64)
        self._size = window
        self._seed = seed
        self._pass: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None
        self._window: _Window | None = None

    @property
    def window(self) -> int:
        """The number of shards whose images are mixed."""
        return self._size

    def __len__(self) -> int:
        return int(self._counts.sum())

    def rows(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the rows at positions `start` to `start + count`, over as many passes as that takes: int64[count]."""
        parts: list[NDArray[np.int64]] = []
        total = len(self)
        while count:
            number, inside = divmod(start, total)
            shards, ends = self._shards(number)
            window = int(np.searchsorted(ends, inside, side="right"))
            first = int(ends[window - 1]) if window else 0
            part = self._rows(number, window, shards)[inside - first : inside - first + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _shards(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the shards of a pass in their order, and the position at which each window of them ends."""
        if self._pass is None or self._pass[0] != number:
            keys = splitmix64(self._seed, number, np.arange(len(self._counts), dtype=np.uint64))
            shards = np.argsort(keys, kind="stable").astype(np.int64)
            starts = np.arange(0, len(shards), self._size)
            ends = np.cumsum(np.add.reduceat(self._counts[shards], starts))
            self._pass = number, shards, ends
        return self._pass[1:]

    def _rows(self, number: int, window: int, shards: NDArray[np.int64]) -> NDArray[np.int64]:
        if self._window is None or self._window.at != (number, window):
            chosen = shards[window * self._size : (window + 1) * self._size]
            rows = np.concatenate([self._usable(int(shard)) for shard in chosen])
            keys = splitmix64(self._seed, ~number, rows.astype(np.uint64))
            self._window = _Window((number, window), rows[np.argsort(keys, kind="stable")])
        return self._window.rows

    def _usable(self, shard: int) -> NDArray[np.int64]:
        inside = np.flatnonzero(np.unpackbits(self._masks[shard])).astype(np.int64)
        return inside + int(self._first[shard])
