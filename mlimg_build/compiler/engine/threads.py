"""Work on one thing after the other in a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from typing import TypeVar

__all__ = ["in_threads"]

THREADS = 8  # each holds what it works on

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_threads(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """The results in order; so many at a time as there are cores, for work that numpy, Arrow or hashlib does.

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
