"""Connect to the Dask cluster of a backend: a local one started for the build, or an existing one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.security import Security

from mlimg_build.compiler.engine.memory import KEPT, LARGE
from mlimg_build.compiler.engine.signals import uninterrupted
from mlimg_build.compiler.engine.start_failures import explaining_start, in_folder_that_exists
from mlimg_build.compiler.engine.worker_settings import other_version
from mlimg_build.errors import BackendError, Problem
from mlimg_build.spec import LocalCluster as LocalWorkers
from mlimg_build.spec import SchedulerCluster

__all__ = ["CLOSING", "RUNNING", "asked", "cluster_client", "require_version", "scheduler_lost"]

LOOPBACK = "127.0.0.1"
RUNNING = "running"  # the status of a client that is connected to its scheduler
ASKED = 0.5  # seconds between two looks at the connection while workers are waited for
ANSWERED = 30  # seconds that a scheduler may take to answer
CLOSING = 5  # seconds that a client may take to close
ENVIRONMENT = "distributed.nanny.pre-spawn-environ"


@contextmanager
def cluster_client(
    wanted: LocalWorkers | SchedulerCluster, scratch: Path, version: Callable[[], str], tasks: int
) -> Iterator[Client]:
    """Yield a client of the wanted cluster, which has at least one worker.

    A local cluster keeps its scratch files in `scratch`, and starts no more workers than there are `tasks`.

    Raises:
        BackendError: `workers-not-started`, or
            `scheduler-unreachable`, `no-worker`, `other-version` if a worker runs another version than
            `version()`, `scheduler-lost`, `certificate-missing` if a TLS scheduler needs a client certificate.
    """
    settings: dict[str, Any] = {
        "distributed.scheduler.allowed-failures": 3,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.pause": False,  # a worker holds nothing between tasks that it could give away
        "distributed.admin.system-monitor.gil.enabled": False,
        "distributed.worker.profile.enabled": False,
        # by default Dask makes workers return freed memory at once; page faults then cost more than work on a shard
        f"{ENVIRONMENT}.MALLOC_TRIM_THRESHOLD_": KEPT,
        f"{ENVIRONMENT}.MALLOC_MMAP_THRESHOLD_": LARGE,
        "distributed.scheduler.http.routes": [],  # no pages about the build, its files and its machine
        "distributed.worker.http.routes": [],
        "temporary-directory": str(scratch),
    }
    with dask.config.set(settings):
        if isinstance(wanted, LocalWorkers):
            scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
            scratch.chmod(0o700)
            yield from _local(wanted, scratch, tasks)
        else:
            yield from _remote(wanted, version)


def _local(wanted: LocalWorkers, scratch: Path, tasks: int) -> Iterator[Client]:
    """Start workers that use TLS with a certificate of this build alone; connections without it are refused.

    Dask's messages are pickles, so anyone who can send one can run code as the user of the build.
    """
    started = ExitStack()
    with in_folder_that_exists(scratch):  # also for workers that are started anew later
        try:
            with explaining_start(wanted.timeout_seconds), uninterrupted():
                cluster = LocalCluster(
                    n_workers=max(1, min(wanted.workers or CPU_COUNT, tasks)),
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=wanted.memory or "auto",
                    host=LOOPBACK,
                    protocol="tls://",
                    security=Security.temporary(),
                    dashboard_address=None,
                    worker_dashboard_address=f"{LOOPBACK}:0",
                    scheduler_kwargs={"dashboard_address": f"{LOOPBACK}:0"},
                    silence_logs=logging.CRITICAL,
                    death_timeout=wanted.timeout_seconds,
                )
                started.callback(cluster.close)
                client = Client(cluster)
                started.callback(client.close)
            yield client
        finally:
            with uninterrupted():
                started.close()


def _remote(wanted: SchedulerCluster, version: Callable[[], str]) -> Iterator[Client]:
    address, timeout = wanted.address, wanted.timeout_seconds
    if address.startswith("tls://"):
        _require_certificate(address)
    try:
        client = Client(address, timeout=timeout)
    except (OSError, ValueError) as error:
        raise BackendError(
            Problem(
                "scheduler-unreachable",
                f"no Dask scheduler answers at {address}",
                hint=f"start one with `dask scheduler`, or correct `cluster.address`; it was tried for {timeout} s",
            )
        ) from error
    try:
        try:
            _require_workers(client, wanted, version)
        except TimeoutError as error:
            raise BackendError(
                Problem(
                    "no-worker",
                    f"the scheduler at {address} has no worker",
                    hint="start some with `dask worker --nthreads 1 ADDRESS`, where mlimg is installed",
                )
            ) from error
        except OSError as error:  # Dask's errors of a lost connection are such
            raise scheduler_lost(address) from error
        yield client
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=CLOSING)


def _require_workers(client: Client, wanted: SchedulerCluster, version: Callable[[], str]) -> None:
    """Wait for a worker. Raises `BackendError` `other-version` if one runs another version than `version()`."""
    deadline = time.monotonic() + wanted.timeout_seconds
    while True:
        try:
            client.wait_for_workers(1, timeout=min(ASKED, wanted.timeout_seconds))
            break
        except TimeoutError:
            if client.status != RUNNING:  # Dask itself waits on
                raise scheduler_lost(wanted.address) from None
            if time.monotonic() >= deadline:
                raise
    require_version(client, version)


def require_version(client: Client, version: Callable[[], str]) -> None:
    """Raises `BackendError` `other-version` if a worker runs another version than `version()`, or none."""
    wanted = version()
    found = client.run(version, on_error="return")
    others = {address: theirs for address, theirs in found.items() if theirs != wanted}
    if others:
        raise other_version(others, wanted)


def asked(client: Client, method: str, limit: float | None = None, **arguments: Any) -> Any:
    """Return what the scheduler answers; Dask itself waits without an end for one that is stopped.

    Raises:
        TimeoutError: if it does not answer for `limit` seconds, `ANSWERED` unless given.
        OSError: if the connection to it is lost.
    """
    return client.sync(getattr(client.scheduler, method), callback_timeout=limit or ANSWERED, **arguments)


def scheduler_lost(address: str) -> BackendError:
    """Return the error for a connection to a scheduler that was lost."""
    return BackendError(
        Problem(
            "scheduler-lost",
            f"the connection to the Dask scheduler at {address} was lost",
            hint="look whether it still runs, then run the same command again: what is finished is kept",
        )
    )


def _require_certificate(address: str) -> None:
    """Raises `BackendError` `certificate-missing` unless Dask's configuration has a certificate for clients."""
    why = "names none"
    try:
        if Security().get_connection_args("client").get("ssl_context") is not None:
            return
    except OSError as error:  # includes `ssl.SSLError`
        why = f"names one that cannot be read: {error}"
    raise BackendError(
        Problem(
            "certificate-missing",
            f"the scheduler at {address} wants a certificate, and Dask's configuration {why}",
            hint="set `distributed.comm.tls`; backends/scheduler.yaml shows how",
        )
    )
