"""Work on one thing after the other in a few processes, where threads would wait for one another."""

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

PROCESSES = 8  # each holds what it works on

Given = TypeVar("Given")
Made = TypeVar("Made")

_work: Callable[[Any], Any]


def process_count() -> int:
    """As many as there are cores that this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, PROCESSES)


def in_processes(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """The results in order; `work` is handed to each process once, so it may be large, and must be idempotent.

    Where processes cannot be started or are killed, this one does what is left. Whoever stops before the end, by
    an error or Ctrl-C, ends the processes in the middle of their work.
    """
    if multiprocessing.current_process().daemon:  # which may start none
        yield from map(work, items)
        return
    context = multiprocessing.get_context("spawn")  # to fork this process, which has threads, is not safe
    ended, end = context.Pipe(duplex=False)
    rest, waiting = iter(items), deque[tuple[Given, Future[Made] | None]]()
    with NamedTemporaryFile(prefix="mlimg-work-") as handed:  # a pipe waits for ever for what dies early
        pickle.dump(work, handed)
        handed.flush()
        pool = _Pool(ProcessPoolExecutor(process_count(), context, _begin, (handed.name, ended)))
        try:
            with uninterrupted():  # what is started in here never hears Ctrl-C, which a terminal sends to all
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
    """Processes, as long as there are any."""

    executor: ProcessPoolExecutor
    able: bool = True

    def submit(self, item: Any) -> Future[Any] | None:
        """What will become of the item; None where no process can be asked."""
        if self.able:
            try:
                return self.executor.submit(_one, item)
            except (BrokenProcessPool, OSError, EOFError):  # one died, or no more may be started
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
    """Ends this process when it is told so, or with the one that started it, however that ends."""
    wait(watched)
    os._exit(1)


def _one(item: Any) -> Any:
    return _work(item)
