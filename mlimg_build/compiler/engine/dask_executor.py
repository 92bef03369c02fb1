"""Run tasks on a Dask cluster; progress comes back as events, and an exception in a worker as a value."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, KilledWorker, as_completed, get_worker
from distributed.comm.core import CommClosedError

from mlimg_build.compiler.engine.cluster import (
    CLOSING,
    RUNNING,
    asked,
    cluster_client,
    require_version,
    scheduler_lost,
)
from mlimg_build.compiler.engine.executor import Done, Failed, TaskFunction, Tell, throttled
from mlimg_build.compiler.engine.worker_settings import other_version, worker_settings
from mlimg_build.errors import BackendError, MlimgError, Problem
from mlimg_build.spec import LocalCluster, SchedulerCluster

__all__ = ["DaskExecutor", "dask_executor"]

BEAT = 0.02  # seconds between two polls for tasks that ended
COUNTED = 5.0  # seconds for which a count of workers is reused
ANEW = 30.0  # seconds that a worker whose process ended may take to start anew


@contextmanager
def dask_executor(
    wanted: LocalCluster | SchedulerCluster,
    scratch: Path,
    work: TaskFunction,
    tell: Tell,
    version: Callable[[], str],
    tasks: int,
    lost: Callable[[], None],
) -> Iterator[DaskExecutor]:
    """Yield an executor on a cluster, which calls `lost` when workers are gone. Raises the errors of `cluster_client`.

    Workers of a cluster that runs already get the settings of `worker_settings`, also those that join later.
    """
    with cluster_client(wanted, scratch, version, tasks) as client:
        executor = DaskExecutor(client, work, version, lost, max(wanted.timeout_seconds, ANEW))

        def hear(event: Any) -> None:
            told = event[1] if isinstance(event, (tuple, list)) and len(event) == 2 else event
            if isinstance(told, dict):
                executor.refuse(told["address"], told["version"])
            else:
                tell(*told)

        try:
            client.subscribe_topic(executor.topic, hear)
            if isinstance(wanted, SchedulerCluster):
                client.register_plugin(worker_settings(version, executor.topic), name=executor.topic)
            yield executor
        except CommClosedError as error:  # from whatever call came first
            raise _lost(client) from error
        finally:
            if client.status == RUNNING:
                with suppress(OSError):  # the scheduler may go now
                    client.unsubscribe_topic(executor.topic)
                    if isinstance(wanted, SchedulerCluster):
                        asked(client, "unregister_worker_plugin", CLOSING, name=executor.topic)


class DaskExecutor:
    """Submits tasks to a client. After `patience` seconds in which no worker can take one, the run ends."""

    def __init__(
        self,
        client: Client,
        work: TaskFunction,
        version: Callable[[], str],
        lost: Callable[[], None] = lambda: None,
        patience: float = 120.0,
    ) -> None:
        self.topic = f"mlimg-{uuid4().hex}"  # other builds may run on the same cluster
        self._client, self._work, self._version, self._lost = client, work, version, lost
        self._wanted = version()
        self._refused: dict[str, str] = {}  # address of a worker → its version
        self._futures: as_completed = as_completed(loop=client.loop)
        self._tasks: dict[Any, Any] = {}
        self._addresses: frozenset[str] = frozenset()
        self._workers, self._counted = 0, -COUNTED
        self._patience, self._idle = patience, 0.0  # seconds for which no worker could take a task
        self._statuses: Counter[str] = Counter()

    @property
    def workers(self) -> int:
        """The number of threads of all current workers, at least 1; updated every few seconds."""
        now = time.monotonic()
        passed = now - self._counted
        if passed >= COUNTED:
            self._refuse_lost()
            try:
                found = asked(self._client, "identity", n_workers=-1)["workers"]
            except OSError as error:  # Dask's errors of a lost connection are such
                raise _lost(self._client) from error
            if self._addresses - found.keys():
                self._lost()
            self._addresses = frozenset(found)
            self._workers = max(sum(worker["nthreads"] for worker in found.values()), 1)
            self._statuses = Counter(worker["status"] for worker in found.values())
            waited = self._idle + min(
                passed, 2 * COUNTED
            )  # what passes while the job is stopped does not count
            self._idle = 0.0 if any(map(_works, found.values())) else waited
            self._counted = now
        return self._workers

    def refuse(self, address: str, version: str) -> None:
        """Let the run end because a worker has another version."""
        self._refused[address] = version

    def begin(self, task: Any) -> None:
        """Submit a task."""
        self._refuse_lost()
        try:
            future = self._client.submit(
                run_on_worker,
                self._work,
                task,
                self.topic,
                self._version,
                self._wanted,
                pure=False,
                retries=0,
            )
        except OSError as error:
            raise _lost(self._client) from error
        self._tasks[future.key] = task
        self._futures.add(future)

    def ended(self) -> Iterator[Done | Failed]:
        """Yield the tasks as they end.

        Raises:
            BackendError: `scheduler-lost` once the connection to the scheduler is; Dask itself would wait forever.
                `other-version` if a worker joined that runs another version, `no-worker` if all are gone or paused.
        """
        while self._tasks:
            self._refuse_lost()
            if self._refused:
                raise other_version(self._refused, self._wanted)
            _ = self.workers  # looks whether some are gone
            self._refuse_idle()
            if not self._futures.has_ready():
                time.sleep(BEAT)
                continue
            future = next(self._futures)
            if future.cancelled():  # the client cancels all futures when it has lost the scheduler
                raise _lost(self._client)
            task = self._tasks.pop(future.key)
            outcome: Done | Failed
            try:
                outcome = Done(task, future.result())
            except Exception as error:  # any exception of a worker is reported with its shard
                self._refuse_lost()  # unless it is that the result could not be fetched
                self._refuse_versions(error)
                outcome = Failed(task, error)
            future.release()
            yield outcome

    def cancel(self) -> None:
        """Cancel all running tasks."""
        if self._client.status == RUNNING:
            self._client.cancel(list(self._futures.futures), force=True)

    def _refuse_versions(self, error: Exception) -> None:
        """Raise `BackendError` `other-version` if a task failed because its worker runs another version."""
        if isinstance(error, BackendError) and error.code == "other-version":
            raise error
        if isinstance(error, MlimgError | OSError | MemoryError | KilledWorker):
            return
        try:  # another mlimg may not even understand the task
            require_version(self._client, self._version)
        except OSError as lost:
            raise _lost(self._client) from lost

    def _refuse_idle(self) -> None:
        """Raise `BackendError` `no-worker` if no worker could take a task for too long: Dask itself waits on."""
        if self._idle < self._patience:
            return
        listed = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in self._statuses.items())
        message = f"no worker could take a task for {self._idle:.0f} s: {listed or 'all are gone'}"
        hint = (
            "start workers, or give those that are paused more memory, and run the same command again: what is "
            "finished is kept; `cluster.timeout_seconds` of the backend waits longer"
        )
        raise BackendError(Problem("no-worker", message, hint=hint))

    def _refuse_lost(self) -> None:
        if self._client.status != RUNNING:
            raise _lost(self._client)


def _works(worker: Mapping[str, Any]) -> bool:
    """Return whether a worker takes tasks or has one, as the scheduler describes it."""
    return worker["status"] == "running" or bool(worker["metrics"].get("task_counts", {}).get("executing"))


def _lost(client: Client) -> BackendError:
    return scheduler_lost(getattr(client.scheduler, "address", "its address"))


def run_on_worker(
    work: TaskFunction, task: Any, topic: str, version: Callable[[], str], wanted: str
) -> dict[str, int]:
    """Run a task on a worker, which reports its progress as events of `topic`.

    Raises:
        BackendError: `other-version` if the worker's is not the wanted one: its result could be another.
    """
    worker = get_worker()
    if version() != wanted:
        raise other_version({worker.address: version()}, wanted)
    return work(task, throttled(lambda *counts: worker.log_event(topic, list(counts))))
