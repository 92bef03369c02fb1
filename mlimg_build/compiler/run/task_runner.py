"""Run tasks and track them; finished results are kept if other tasks fail."""

from __future__ import annotations

import errno
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlimg_build.compiler.engine import retries
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.executor import Done, Executor, Failed
from mlimg_build.compiler.engine.executors import open_executor
from mlimg_build.compiler.engine.retries import waiting
from mlimg_build.compiler.run.tasks import Task, run, version
from mlimg_build.errors import BuildError, DatasetError, MlimgError, Problem, TransientError
from mlimg_build.spec import Backend

__all__ = ["Outcome", "Progress", "TaskFollower", "execute"]

WINDOW = 4  # submitted tasks per worker, so that the scheduler never holds all tasks of a large collection
ALIKE = 10  # problems of one code that are reported in full
AWAY = 3  # tasks of one error code that failed at every try, after which the run stops
LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT, errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress since the last report: images, bytes stored, images that failed, shards finished.

    `said` is a message for people: why the build waits.
    """

    images: int = 0
    bytes: int = 0
    failed: int = 0
    shards: int = 0
    said: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The statistics of a run: tasks, images, wall-clock seconds, workers, and the peak memory of a worker in bytes."""

    tasks: int
    images: int
    seconds: float
    workers: int
    peak_memory: int


def execute(
    tasks: Sequence[Task],
    store: Store,
    backend: Backend,
    report: Callable[[Progress], None],
) -> Outcome:
    """Run the tasks until all their results are in the store.

    A failed task affects only its own shard: the others are finished first. A transient failure is retried three times,
    after pauses; once three tasks have failed at every try with one error code, as when a mount or a machine stays
    away, no further task is started. Raises `DatasetError` `disk-full` at once, and `BuildError` with all other
    failures at the end.
    """
    with (
        store.scratch() as scratch,
        open_executor(
            backend,
            scratch,
            run,
            lambda *counts: report(Progress(*counts)),
            version,
            len(tasks),
            lost=store.clean,
        ) as executor,
    ):
        crew = TaskFollower(executor, report)
        began = time.monotonic()
        try:
            crew.do(tasks)
        except KeyboardInterrupt:
            executor.cancel()
            raise
        seconds, workers = time.monotonic() - began, executor.workers
    if crew.problems:
        raise BuildError(_summed(crew.problems))
    return Outcome(len(tasks), crew.images, seconds, workers, crew.peak)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A task and how often it failed with a transient error."""

    task: Task
    failed: int = 0


class TaskFollower:
    """Submits tasks to an executor, up to `WINDOW` per worker at a time, and retries transient failures."""

    def __init__(self, executor: Executor, report: Callable[[Progress], None]) -> None:
        self.images = self.peak = 0
        self.problems: list[Problem] = []
        self._executor, self._report = executor, report
        self._waiting: deque[_Attempt] = deque()
        self._under_way: dict[int, _Attempt] = {}
        self._again: list[tuple[_Attempt, Exception]] = []
        self._held = False
        self._given_up: Counter[str] = Counter()  # error code → tasks that failed at every try

    def do(self, tasks: Sequence[Task]) -> None:
        """Run all tasks; the problems of those that fail are added to `problems`."""
        self._waiting.extend(map(_Attempt, tasks))
        while self._waiting or self._again:
            self._pause()
            self._fill()
            for outcome in self._executor.ended():
                self._end(outcome)
                if not self._held:
                    self._fill()
            if self._stopped:
                for _, error in self._again:
                    self.problems += _problems(error)
                break

    def _fill(self) -> None:
        """Start tasks until `WINDOW` per current worker are under way."""
        while self._waiting and not self._stopped and len(self._under_way) < WINDOW * self._executor.workers:
            attempt = self._waiting.popleft()
            self._under_way[id(attempt.task)] = attempt
            self._executor.begin(attempt.task)

    def _end(self, outcome: Done | Failed) -> None:
        attempt = self._under_way.pop(id(outcome.task))
        if isinstance(outcome, Failed):
            self._failed(attempt, outcome.error)
            return
        self.images += outcome.result["images"]
        self.peak = max(self.peak, outcome.result["peak"])
        self._report(Progress(shards=1))

    def _failed(self, attempt: _Attempt, error: Exception) -> None:
        """Schedule the next try of a failed task, or record its problems.

        An error of a single file is retried once no other task is under way; one of a mount or a machine also stops new
        tasks from being started until its retry.
        """
        if not _may_pass(error):
            self.problems += _problems(error)
            return
        general = not (isinstance(error, TransientError) and error.code == "file-unreadable")
        if attempt.failed < len(retries.PAUSES):
            self._held |= general
            self._again.append((_Attempt(attempt.task, attempt.failed + 1), error))
        else:
            self.problems += _problems(error)
            self._given_up[_problems(error)[0].code] += general

    @property
    def _stopped(self) -> bool:
        """Whether a mount or a machine stays away: `AWAY` tasks failed, as one alone may have an unreadable file."""
        return any(tasks >= AWAY for tasks in self._given_up.values())

    def _pause(self) -> None:
        """Wait if tasks failed with transient errors, then put these tasks first in the queue."""
        if not self._again:
            return
        longest = max(attempt.failed for attempt, _ in self._again)
        self._report(Progress(said=waiting(_problems(self._again[0][1])[0].message, longest)))
        time.sleep(retries.PAUSES[longest - 1])
        self._waiting.extendleft(attempt for attempt, _ in reversed(self._again))
        self._again.clear()
        self._held = False


def _may_pass(error: Exception) -> bool:
    """Return whether a task may succeed at its next try, on another worker or later."""
    if isinstance(error, OSError):
        return error.errno is not None and error.errno not in LASTING
    return isinstance(error, TransientError | MemoryError)


def _summed(problems: Sequence[Problem]) -> list[Problem]:
    """Return the distinct problems, at most `ALIKE` per code in full and the number of the others."""
    told: dict[str, list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        told.setdefault(problem.code, []).append(problem)
    summed = []
    for code, alike in told.items():
        summed += alike[:ALIKE]
        if len(alike) > ALIKE:
            more = f"{len(alike) - ALIKE:,} more of this kind"
            summed.append(Problem(code, more, alike[0].place, alike[0].hint))
    return summed


def _problems(error: Exception) -> Sequence[Problem]:
    """Return the problems of one failed task; raises the error itself if the disk is full."""
    if isinstance(error, DatasetError) and error.code == "disk-full":
        raise error
    if isinstance(error, MlimgError):
        return error.problems
    if type(error).__name__ == "KilledWorker":  # from distributed, which not every executor imports
        hint = "it may have run out of memory: give workers more in the backend, or lower images.max_pixels"
        return [Problem("worker-killed", "a shard killed the workers that tried it, four times", hint=hint)]
    if isinstance(error, MemoryError):
        hint = "give workers more in the backend, or take fewer of them"
        return [Problem("worker-failed", "a worker has no memory left", hint=hint)]
    if isinstance(error, OSError):
        hint = "workers must see the sources and --out under the same paths, and may read and write there"
        return [Problem("worker-failed", f"a worker could not read or write: {error}", hint=hint)]
    logging.getLogger(__name__).debug("a task failed", exc_info=error)
    message = f"a shard failed with {type(error).__name__}: {error}"
    return [
        Problem("shard-failed", message, hint="this is a defect of mlimg; please report it with the message")
    ]
