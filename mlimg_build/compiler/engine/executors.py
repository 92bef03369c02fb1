"""Open the executor of a backend: this process, or a Dask cluster that is started or joined."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlimg_build.compiler.engine.executor import Done, Executor, Failed, TaskFunction, Tell, throttled
from mlimg_build.spec import Backend, InlineCluster

__all__ = ["InlineExecutor", "open_executor"]


@contextmanager
def open_executor(
    backend: Backend,
    scratch: Path,
    work: TaskFunction,
    tell: Tell,
    version: Callable[[], str],
    tasks: int,
    lost: Callable[[], None],
) -> Iterator[Executor]:
    """Yield the executor of a backend, which calls `work` with every task; `tell` receives the progress.

    A local cluster keeps its scratch files in `scratch` and has no more workers than `tasks`; workers of another
    `version` are refused, and `lost` is called when workers are gone. Raises the errors of `cluster_client`.
    """
    if isinstance(backend.cluster, InlineCluster):
        yield InlineExecutor(work, tell)
        return
    from mlimg_build.compiler.engine.dask_executor import dask_executor  # noqa: PLC0415  dask costs most of a second

    with dask_executor(backend.cluster, scratch, work, tell, version, tasks, lost) as executor:
        yield executor


class InlineExecutor:
    """Runs one task after the other in this process."""

    workers = 1

    def __init__(self, work: TaskFunction, tell: Tell) -> None:
        self._work, self._tell = work, throttled(tell)
        self._begun: deque[Any] = deque()

    def begin(self, task: Any) -> None:
        """Append a task to the queue."""
        self._begun.append(task)

    def ended(self) -> Iterator[Done | Failed]:
        """Run the queued tasks, and yield the outcome of each."""
        while self._begun:
            task = self._begun.popleft()
            try:
                result = self._work(task, self._tell)
            except Exception as error:  # any exception of a task is reported with its shard
                yield Failed(task, error)
            else:
                yield Done(task, result)

    def cancel(self) -> None:
        """Empty the queue."""
        self._begun.clear()
