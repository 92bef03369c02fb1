"""Map a function over items in threads, or compute the next items while one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from typing import TypeVar

__all__ = ["in_threads", "made_ahead"]

THREADS = 8  # each keeps its item in memory

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_threads(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Yield `work(item)` for each item in order, in one thread per core, at most `THREADS`.

    For work that releases the GIL, as in numpy, Arrow or hashlib.

    >>> list(in_threads(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    threads = min(cpu_count() or 1, THREADS)
    rest = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(work, item) for item in islice(rest, 2 * threads))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def made_ahead(items: Iterable[Made], count: int = 2) -> Iterator[Made]:
    """Yield the items in order; a thread computes the next `count` of them while one is used.

    >>> list(made_ahead(iter([1, 2, 3])))
    [1, 2, 3]
    """
    rest, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, rest, end) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, rest, end))
                yield item  # type: ignore[misc]  # `end` is never yielded
        finally:
            pool.shutdown(cancel_futures=True)
