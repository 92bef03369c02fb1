"""Threads that make the parts of batches: in order, a limited number ahead, and never waited for without an end."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from mlimg_build.errors import Problem, TrainingError

__all__ = ["Part", "made_by_threads"]

TICK = 0.5  # seconds between two looks at the clock
CLOSING = 5.0  # seconds that threads may take to end

Key = TypeVar("Key")
Made = TypeVar("Made")


@dataclass(slots=True)
class Part(Generic[Key, Made]):
    """Something to make: `make` is called in a thread, with a lock that all parts share; `key` is for whoever asked."""

    key: Key
    make: Callable[[threading.Lock], Made]
    done: threading.Event = field(default_factory=threading.Event)
    result: Made | None = None
    error: BaseException | None = None


def made_by_threads(
    parts: Iterable[Part[Key, Made]], threads: int, ahead: int, limit: float
) -> Iterator[tuple[Key, Made]]:
    """Yield the key and the result of each part, in order; `threads` of them make up to `ahead` parts ahead.

    The threads are daemons: one that hangs in a read of a lost mount does not keep this process from ending. Closing
    the iterator early stops them after the parts that they are at.

    Raises:
        TrainingError: `loader-silent` if a part is not made after `limit` seconds of waiting for it, `loader-failed` if
            no thread can be started.
        BaseException: what `make` raised, when its part is due.
    """
    source = iter(parts)
    work: queue.SimpleQueue[Part[Key, Made] | None] = queue.SimpleQueue()
    shared, stopped = threading.Lock(), threading.Event()
    begun: list[threading.Thread] = []
    waiting: deque[Part[Key, Made]] = deque()

    def more(count: int) -> None:
        for part in islice(source, count):
            waiting.append(part)
            work.put(part)

    try:
        _start(begun, threads, (work, shared, stopped))
        more(ahead)
        while waiting:
            part = waiting[0]
            _wait(part, limit)
            waiting.popleft()
            if part.error is not None:
                raise part.error
            key, result = part.key, part.result
            del part  # its memory
            more(1)
            yield key, result  # type: ignore[misc]  # a part without an error has a result
            del key, result
    finally:
        stopped.set()
        for _ in begun:
            work.put(None)
        until = time.monotonic() + CLOSING
        for thread in begun:
            thread.join(max(0.0, until - time.monotonic()))


def _start(begun: list[threading.Thread], threads: int, shared: tuple[Any, ...]) -> None:
    for number in range(threads):
        thread = threading.Thread(target=_work, args=shared, name=f"mlimg-loader-{number}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # there may be no more threads
            message = f"thread {number + 1} of {threads} that load images does not start: {error}"
            hint = "set fewer `training: {loader_workers: …}` in a backend"
            raise TrainingError(Problem("loader-failed", message, hint=hint)) from error
        begun.append(thread)


def _work(work: queue.SimpleQueue[Any], shared: threading.Lock, stopped: threading.Event) -> None:
    while (part := work.get()) is not None and not stopped.is_set():
        try:
            part.result = part.make(shared)
        except BaseException as error:  # it is raised where the part is due
            part.error = error
        part.done.set()
        del part


def _wait(part: Part[Any, Any], limit: float) -> None:
    """Wait for a part; while the whole job is stopped, as by Ctrl-Z, nothing is counted."""
    waited, before = 0.0, time.monotonic()
    while not part.done.wait(min(TICK, limit)):
        now = time.monotonic()
        waited += min(now - before, 2 * TICK)
        before = now
        if waited >= limit:
            raise TrainingError(
                Problem(
                    "loader-silent",
                    f"the threads that load images gave nothing for {limit:g} s",
                    hint="look at the disk or mount of the dataset and at the machine's memory; "
                    "`training: {loader_timeout_seconds: …}` in a backend waits longer",
                )
            )
