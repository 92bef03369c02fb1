"""A least-recently-used cache of bounded weight, safe under threads and forks."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Generic[K, V]):
    """Keeps the values used last while their weights add up to at most `capacity`.

    A forked child starts empty, because its parent's lock may have been held at the fork. Two threads that
    miss the same key at once both load it; one result is kept. A single value may weigh more than `capacity`.

    >>> squares = LRUCache[int, int](2, lambda value: 1)
    >>> [squares.get(n, lambda: n * n) for n in (1, 2, 3, 1)], len(squares)
    ([1, 4, 9, 1], 2)
    """

    def __init__(self, capacity: int, weigh: Callable[[V], int]) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._values: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K, load: Callable[[], V]) -> V:
        """Return the value of `key`, from memory or from `load`."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = load()
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._weight += self._weigh(value)
            while self._weight > self._capacity and len(self._values) > 1:
                _, dropped = self._values.popitem(last=False)
                self._weight -= self._weigh(dropped)
        return value

    def clear(self) -> None:
        """Empty the cache; values that callers still hold stay alive."""
        self._begin()
