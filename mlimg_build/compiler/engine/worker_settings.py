"""What every worker of a cluster that runs already is told and asked, also one that joins later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distributed import Worker, WorkerPlugin

from mlimg_build.errors import BackendError, Problem

__all__ = ["other_version", "worker_settings"]


def worker_settings(version: Callable[[], str], topic: str) -> WorkerPlugin:
    """Return a plugin that makes a worker keep freed memory, and report under `topic` if `version()` differs there.

    The class is local, so that it is pickled by value: a worker without mlimg, which must say so, can load it too.
    """
    module, name, wanted = version.__module__, version.__name__, version()

    class WorkerSettings(WorkerPlugin):
        async def setup(self, worker: Worker) -> None:
            from importlib import import_module  # noqa: PLC0415  pickled by value: it has no module of its own

            try:
                import_module("mlimg_build.compiler.engine.memory").keep_freed_memory()
                found = str(getattr(import_module(module), name)())
            except Exception as error:  # whatever is installed there
                found = f"no mlimg that can be loaded ({type(error).__name__}: {error})"
            if found != wanted:  # awaited: a worker without mlimg ends with the first task that it is sent
                await worker.scheduler.log_event(
                    topic=topic, msg={"address": worker.address, "version": found}
                )

    return WorkerSettings()


def other_version(others: dict[str, Any], wanted: str) -> BackendError:
    """Return the error for workers, by their addresses, whose version is not the wanted one."""
    address, found = next(iter(others.items()))
    count = "a worker" if len(others) == 1 else f"{len(others)} workers, such as that"
    return BackendError(
        Problem(
            "other-version",
            f"{count} at {address} has other versions: {found}; this is {wanted}",
            hint="install the same versions on every worker: a backend may not change a result",
        )
    )
