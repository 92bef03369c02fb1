"""The protocol of executors, the outcomes of tasks, and progress reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["Done", "Executor", "Failed", "TaskFunction", "Tell", "throttled"]

EVERY = 0.3  # seconds between two reports of what a task has done so far

Tell = Callable[[int, int, int], None]
"""Receives the images, bytes and failures since its last call; (0, 0, 0) says that there is nothing more for now."""
TaskFunction = Callable[[Any, Tell], dict[str, int]]
"""Runs one task, reports its progress, and returns counts; a module-level function, so that workers can import it."""


@dataclass(frozen=True, slots=True)
class Done:
    """A task that succeeded, and what its function returned."""

    task: Any
    result: dict[str, int]


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that failed, and the exception it raised."""

    task: Any
    error: Exception


class Executor(Protocol):
    """Runs tasks, in parallel if it has several workers; a failed task is returned as a value, not raised."""

    @property
    def workers(self) -> int:
        """The number of tasks that run at the same time now; it may change."""

    def begin(self, task: Any) -> None:
        """Accept a task; it may run from now on."""

    def ended(self) -> Iterator[Done | Failed]:
        """Yield the tasks as they end, until none is left, including those begun meanwhile."""

    def cancel(self) -> None:
        """Start no further task, and abandon the running ones."""


def throttled(tell: Tell, clock: Callable[[], float] = time.monotonic) -> Tell:
    """Return a function that sums its counts and passes them to `tell` at intervals; (0, 0, 0) passes them at once."""
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
