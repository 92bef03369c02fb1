"""What runs tasks: the protocol of executors, how a task ends, and what is told meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

__all__ = ["Done", "Executor", "Failed", "TaskFunction", "Tell", "throttled"]

EVERY = 0.3  # seconds between two reports of what a task has done so far

Tell = Callable[[int, int, int], None]
"""Hears of images, bytes and failures since it was last called; (0, 0, 0) says that there is nothing more for now."""
TaskFunction = Callable[[Any, Tell], dict[str, int]]
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

    @property
    def workers(self) -> int:
        """How many tasks run at a time now; it may change."""

    def begin(self, task: Any) -> None:
        """Take a task on; it may run from now on."""

    def ended(self) -> Iterator[Done | Failed]:
        """Yield the tasks that were begun, also meanwhile, as they end, until none is left."""

    def cancel(self) -> None:
        """Begin nothing more, and give up what is under way."""


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
