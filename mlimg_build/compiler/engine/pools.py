"""Map a function over items in a few processes, for work that would hold the GIL in threads."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

from mlimg_build.compiler.engine.memory import keep_freed_memory
from mlimg_build.compiler.engine.signals import uninterrupted

__all__ = ["in_processes", "process_count"]

PROCESSES = 8  # each keeps its item in memory

Given = TypeVar("Given")
Made = TypeVar("Made")

_work: Callable[[Any], Any]


def process_count() -> int:
    """Return the number of cores that this process may use, at most `PROCESSES`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, PROCESSES)


def in_processes(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """Yield `work(item)` for each item in order; `work` is sent to each process once, and must be idempotent.

    If processes cannot be started or are killed, this process does the rest. Stopping before the end, by an error or
    Ctrl-C, kills the processes in the middle of their work.
    """
    if multiprocessing.current_process().daemon:  # a daemon may not start processes
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")  # forking this process, which has threads, is not safe
    ended, end = context.Pipe(duplex=False)
    rest, waiting = iter(items), deque[tuple[Given, Future[Made] | None]]()
    with NamedTemporaryFile(prefix="mlimg-work-") as handed:  # a pipe would block if a process died early
        pickle.dump(work, handed)
        handed.flush()
        pool = _Pool(ProcessPoolExecutor(process_count(), context, _begin, (handed.name, ended)))
        try:
            with uninterrupted():  # processes started in here ignore Ctrl-C, which a terminal sends to all
                waiting.extend((item, pool.submit(item)) for item in islice(rest, 2 * process_count()))
            while waiting:
                item, future = waiting.popleft()
                yield _result(work, item, future)
                waiting.extend((item, pool.submit(item)) for item in islice(rest, 1))
            pool.executor.shutdown()
        finally:
            with uninterrupted():
                end.close()
                pool.executor.shutdown(cancel_futures=True)
                ended.close()


@dataclass(slots=True)
class _Pool:
    """A process pool, and whether it still accepts work."""

    executor: ProcessPoolExecutor
    able: bool = True

    def submit(self, item: Any) -> Future[Any] | None:
        """Return the future of the item; None if no process can run it."""
        if self.able:
            try:
                return self.executor.submit(_one, item)
            except (BrokenProcessPool, OSError, EOFError):  # one died, or no more can be started
                self.able = False
        return None


def _result(work: Callable[[Given], Made], item: Given, future: Future[Made] | None) -> Made:
    try:
        return work(item) if future is None else future.result()
    except BrokenProcessPool:
        return work(item)


def _begin(work: str, ended: Connection) -> None:
    global _work  # noqa: PLW0603  a process of a pool has nothing else to keep it in
    keep_freed_memory()
    parent = multiprocessing.parent_process()
    watched = [ended, parent.sentinel] if parent is not None else [ended]
    threading.Thread(target=_follow, args=(watched,), daemon=True).start()
    with open(work, "rb") as stream:  # noqa: PTH123  written by `in_processes`
        _work = pickle.load(stream)  # noqa: S301


def _follow(watched: Sequence[Connection | int]) -> None:
    """Exit this process when the pool ends or its parent process does, for whatever reason."""
    wait(watched)
    os._exit(1)


def _one(item: Any) -> Any:
    return _work(item)
