"""Tasks on a Dask cluster: what a worker tells comes back as events, and what it raises as a value."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, as_completed, get_worker

from mlimg_build.compiler.engine.cluster import cluster_client
from mlimg_build.compiler.engine.executor import Done, Failed, TaskFunction, Tell, throttled
from mlimg_build.errors import BackendError, Problem
from mlimg_build.spec import LocalCluster, SchedulerCluster

__all__ = ["DaskExecutor", "dask_executor"]

RUNNING = "running"  # the status of a client that has its scheduler
BEAT = 0.02  # seconds between two looks for tasks that ended
COUNTED = 5.0  # seconds for which a count of workers holds


@contextmanager
def dask_executor(
    wanted: LocalCluster | SchedulerCluster,
    scratch: Path,
    work: TaskFunction,
    tell: Tell,
    version: Callable[[], str],
    tasks: int,
) -> Iterator[DaskExecutor]:
    """Give an executor on a cluster; see `cluster_client`."""
    with cluster_client(wanted, scratch, version, tasks) as client:
        executor = DaskExecutor(client, work)

        def hear(event: Any) -> None:
            counts = event[1] if isinstance(event, (tuple, list)) and len(event) == 2 else event
            tell(*counts)

        client.subscribe_topic(executor.topic, hear)
        try:
            yield executor
        finally:
            if client.status == RUNNING:
                client.unsubscribe_topic(executor.topic)


class DaskExecutor:
    """Submits tasks to a client."""

    def __init__(self, client: Client, work: TaskFunction) -> None:
        self.topic = f"mlimg-{uuid4().hex}"  # other builds may run on the same cluster
        self._client, self._work = client, work
        self._futures: as_completed = as_completed()
        self._tasks: dict[Any, Any] = {}
        self._workers, self._counted = 0, -COUNTED

    @property
    def workers(self) -> int:
        """The threads of all workers that are there now, one at least; asked every few seconds, as clusters change."""
        now = time.monotonic()
        if now - self._counted >= COUNTED:
            self._refuse_lost()
            found = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self._workers, self._counted = max(sum(worker["nthreads"] for worker in found), 1), now
        return self._workers

    def begin(self, task: Any) -> None:
        """Submit a task."""
        self._refuse_lost()
        future = self._client.submit(run_on_worker, self._work, task, self.topic, pure=False, retries=0)
        self._tasks[future.key] = task
        self._futures.add(future)

    def ended(self) -> Iterator[Done | Failed]:
        """Yield the tasks as they end.

        Raises:
            BackendError: "scheduler-lost" once the connection to the scheduler is; Dask itself would wait for ever.
        """
        while self._tasks:
            self._refuse_lost()
            if not self._futures.has_ready():
                time.sleep(BEAT)
                continue
            future = next(self._futures)
            if future.cancelled():  # which the client does with all when it has lost the scheduler
                raise _lost(self._client)
            task = self._tasks.pop(future.key)
            outcome: Done | Failed
            try:
                outcome = Done(task, future.result())
            except Exception as error:  # whatever a worker raised is reported with its shard
                outcome = Failed(task, error)
            future.release()
            yield outcome

    def cancel(self) -> None:
        """Cancel all that is under way."""
        if self._client.status == RUNNING:
            self._client.cancel(list(self._futures.futures), force=True)

    def _refuse_lost(self) -> None:
        if self._client.status != RUNNING:
            raise _lost(self._client)


def _lost(client: Client) -> BackendError:
    where = getattr(client.scheduler, "address", "its address")
    return BackendError(
        Problem(
            "scheduler-lost",
            f"the connection to the Dask scheduler at {where} was lost",
            hint="look whether it still runs, then run the same command again: what is finished is kept",
        )
    )


def run_on_worker(work: TaskFunction, task: Any, topic: str) -> dict[str, int]:
    """Do a task on a worker, which tells what it does as events of `topic`."""
    worker = get_worker()
    return work(task, throttled(lambda *counts: worker.log_event(topic, list(counts))))
