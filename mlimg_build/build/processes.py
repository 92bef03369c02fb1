"""Work on one thing after the other in a few processes, where threads would wait for one another."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.connection import wait
from typing import Any, TypeVar

from mlimg_build.build.memory import keep_freed_memory
from mlimg_build.build.signals import uninterrupted

__all__ = ["in_processes", "process_count"]

PROCESSES = 8  # each holds what it works on
PRELOADED = ["mlimg_build.build.pairing"]

Given = TypeVar("Given")
Made = TypeVar("Made")

_work: Callable[[Any], Any]


def process_count() -> int:
    """As many as there are cores that this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, PROCESSES)


def in_processes(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """The results in order; `work` is handed to each process once, so it may be large, and must do no harm twice.

    Where processes cannot be started or are killed, this one does what is left.
    """
    if multiprocessing.current_process().daemon:  # which may start none
        yield from map(work, items)
        return
    rest = iter(items)
    waiting: deque[tuple[Given, Future[Made] | None]] = deque()
    with uninterrupted():  # what is started in here never hears Ctrl-C, which a terminal sends to all
        pool = ProcessPoolExecutor(process_count(), _context(), _begin, (work,))
        waiting.extend((item, _submit(pool, item)) for item in islice(rest, 2 * process_count()))
    try:
        while waiting:
            item, future = waiting.popleft()
            yield _result(work, item, future)
            waiting.extend((item, _submit(pool, item)) for item in islice(rest, 1))
    finally:
        with uninterrupted():
            pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, item: Any) -> Future[Any] | None:
    try:
        return pool.submit(_one, item)
    except (BrokenProcessPool, OSError):  # the latter where there may be no more processes
        return None


def _result(work: Callable[[Given], Made], item: Given, future: Future[Made] | None) -> Made:
    try:
        return work(item) if future is None else future.result()
    except BrokenProcessPool:
        return work(item)


def _context() -> Any:
    """Processes that come from one that has everything imported; forking this one, which has threads, is not safe."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _begin(work: Callable[[Any], Any]) -> None:
    global _work  # noqa: PLW0603  a process of a pool has nothing else to keep it in
    _work = work
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    """Ends this process with the one that started it, however that ends."""
    wait([sentinel])
    os._exit(1)


def _one(item: Any) -> Any:
    return _work(item)
