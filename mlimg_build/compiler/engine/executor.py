"""Where tasks run: in this process, or on a Dask cluster that is started or joined when there is something to do."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mlimg_build.spec import Backend, InlineCluster

__all__ = ["Done", "Executor", "Failed", "Tell", "Work", "open_executor", "throttled"]

EVERY = 0.3  # seconds between two reports of what a task has done so far

Tell = Callable[[int, int, int], None]
"""Hears of images, bytes and failures since it was last called; (0, 0, 0) says that there is nothing more for now."""
Work = Callable[[Any, Tell], dict[str, int]]
"""Does one task, tells what it does, and returns counts; a function of a module, which workers import."""


@dataclass(frozen=True, slots=True)
class Done:
    """A task that ended well, and what `run` returned."""

    task: Any
    result: dict[str, int]


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that raised, and what."""

    task: Any
    error: Exception


class Executor(Protocol):
    """Runs tasks, several at a time where it has several workers; what fails is a value, not an error."""

    workers: int

    def begin(self, task: Any) -> None:
        """Take a task on; it may run from now on."""

    def ended(self) -> Iterator[Done | Failed]:
        """Yield the tasks that were begun, also meanwhile, as they end, until none is left."""

    def cancel(self) -> None:
        """Begin nothing more, and give up what is under way."""


@contextmanager
def open_executor(
    backend: Backend, scratch: Path, work: Work, tell: Tell, version: Callable[[], str]
) -> Iterator[Executor]:
    """Give the executor of a backend, which does `work` with every task; `tell` hears of it meanwhile.

    A local cluster keeps its scratch files in `scratch`; workers of another `version` are refused. Raises
    `BackendError` as `cluster.connected` does.
    """
    if isinstance(backend.cluster, InlineCluster):
        yield InlineExecutor(work, tell)
        return
    from mlimg_build.compiler.engine.dask_executor import dask_executor  # noqa: PLC0415  dask costs most of a second

    with dask_executor(backend.cluster, scratch, work, tell, version) as executor:
        yield executor


class InlineExecutor:
    """Runs one task after the other in this process."""

    workers = 1

    def __init__(self, work: Work, tell: Tell) -> None:
        self._work, self._tell = work, throttled(tell)
        self._begun: deque[Any] = deque()

    def begin(self, task: Any) -> None:
        """Take a task on."""
        self._begun.append(task)

    def ended(self) -> Iterator[Done | Failed]:
        """Run what was begun, and yield how each task ended."""
        while self._begun:
            task = self._begun.popleft()
            try:
                result = self._work(task, self._tell)
            except Exception as error:  # whatever a task raises is reported with its shard
                yield Failed(task, error)
            else:
                yield Done(task, result)

    def cancel(self) -> None:
        """Forget what was begun."""
        self._begun.clear()


def throttled(tell: Tell, clock: Callable[[], float] = time.monotonic) -> Tell:
    """A function that adds up what it hears and passes it on now and then; (0, 0, 0) passes it on at once."""
    waiting = np.zeros(3, dtype=np.int64)
    told = clock()

    def hear(images: int, size: int, failed: int) -> None:
        nonlocal told
        waiting[:] += (images, size, failed)
        now = clock()
        if waiting.any() and (images == 0 or now - told > EVERY):
            tell(*waiting.tolist())
            waiting[:] = 0
            told = now

    return hear
