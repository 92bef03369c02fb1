"""Processes that load images: whatever becomes of them, the driver gets their pieces or one error."""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.training.data.loader_worker import begin_worker

__all__ = ["loaded"]

TICK = 0.5  # seconds between two looks at the clock
CLOSING = 5.0  # seconds that a killed process, or the thread that asks them, may take to end
END = object()
STATES = {"D": "waits for a disk or a mount", "T": "is stopped", "t": "is stopped by a debugger"}


def loaded(
    dataset: IterableDataset[Any], workers: int, *, prefetch: int, pin: bool, limit: float
) -> Iterator[Any]:
    """Yield what `workers` processes make of `dataset`, in order; each makes up to `prefetch` items ahead.

    Closing the iterator early kills the processes; they only read.

    Raises:
        TrainingError: `loader-failed` if a process ended, or `loader-silent` if nothing came for `limit` seconds of
            waiting.
    """
    context = _Context()
    context.set_forkserver_preload(["mlimg_build.training.data.batches"])
    asking = _Asking(dataset, workers, prefetch, pin, context)
    try:
        asking.start()
    except RuntimeError as error:  # there may be no more threads
        raise _explained(error, context.begun) from error
    ended = False
    try:
        while True:
            made = asking.next(limit)
            if made is END:
                ended = True
                return
            if isinstance(made, BaseException):
                raise _explained(made, context.begun) from made
            yield made
            del made  # its shared memory
    except queue.Empty:
        raise _silent(limit, context.begun) from None
    finally:
        asking.end(kill=not ended)


class _Context(ForkServerContext):
    """Starts processes from a fork server, as a fork of this process would inherit its threads; remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[BaseProcess] = []

    def Process(self, *args: Any, **options: Any) -> BaseProcess:  # type: ignore[override]  # noqa: N802
        process = super().Process(*args, **options)
        self.begun.append(process)
        return process


class _Asking(threading.Thread):
    """A thread that asks a DataLoader for one item at a time, as waiting for one may never end.

    A DataLoader fetches file descriptors from its processes without a limit of time: a stopped one blocks it.
    """

    def __init__(
        self, dataset: IterableDataset[Any], workers: int, prefetch: int, pin: bool, context: _Context
    ) -> None:
        super().__init__(name="mlimg-loader", daemon=True)
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            prefetch_factor=prefetch,
            worker_init_fn=begin_worker,
            multiprocessing_context=context,
        )
        self._context = context
        self._device = torch.cuda.current_device() if pin and torch.cuda.is_available() else None
        self._wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._made: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self) -> None:
        """Put an item for each that is wanted: at the end `END`, and an exception as a value."""
        try:
            if self._device is not None:
                torch.cuda.set_device(self._device)  # of the thread that started this one
            items: Iterator[Any] | None = None
            while self._wanted.get():
                items = iter(self._loader) if items is None else items
                self._made.put(next(items, END))
        except Exception as error:
            self._made.put(error)

    def next(self, limit: float) -> Any:
        """Return the next item; raises `queue.Empty` after `limit` seconds in which this process waited.

        While the whole job is stopped, as by Ctrl-Z, nothing is counted.
        """
        self._wanted.put(True)
        waited, before = 0.0, time.monotonic()
        while True:
            try:
                return self._made.get(timeout=min(TICK, limit))
            except queue.Empty:
                now = time.monotonic()
                waited += min(now - before, 2 * TICK)
                before = now
                if waited >= limit:
                    raise

    def end(self, kill: bool) -> None:
        """End the thread and the processes, by force if `kill`."""
        self._wanted.put(False)
        if not kill:
            self.join(CLOSING)
            return
        begun = self._context.begun
        for process in begun:
            if process.pid is not None and process.is_alive():
                process.kill()
        for process in begun:
            if process.pid is not None:
                process.join(CLOSING)
        if any(process.pid is None or process.is_alive() for process in begun):
            _kill_fork_server()  # it does not start a process, or does not say that one ended


def _kill_fork_server() -> None:
    """Kill the fork server and wait for its end, so that `multiprocessing` starts another for the next loader."""
    number = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if not isinstance(number, int):
        return
    with suppress(ProcessLookupError):
        os.kill(number, signal.SIGKILL)
    until = time.monotonic() + CLOSING
    while _state(number) not in ("", "Z") and time.monotonic() < until:
        time.sleep(0.01)


def _explained(error: BaseException, begun: list[BaseProcess]) -> BaseException:
    """Return the error for what ended a loader: an exception raised in one of its processes stays as it is."""
    if not isinstance(error, RuntimeError | OSError | EOFError) or str(error).startswith("Caught "):
        return error
    codes = [(process.pid, process.exitcode) for process in begun if process.pid is not None]
    killed = [f"process {pid} was killed by {_signal(-code)}" for pid, code in codes if code and code < 0]
    why = ", ".join(killed[:3]) or str(error).partition("\n")[0][:200] or type(error).__name__
    return TrainingError(
        Problem(
            "loader-failed",
            f"a process that loads images ended: {why}",
            hint="it may lack memory or room in /dev/shm: set fewer `training: {loader_workers: …}` in a backend; "
            "0 loads in the process that trains",
        )
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _silent(limit: float, begun: list[BaseProcess]) -> TrainingError:
    """Return the error for a loader from which nothing came, with the state of its processes where it tells why."""
    states = {process.pid: _state(process.pid) for process in begun if process.pid is not None}
    told = [f"process {pid} {STATES[state]}" for pid, state in states.items() if state in STATES]
    if not states:
        told = ["none has started"]
    return TrainingError(
        Problem(
            "loader-silent",
            f"the processes that load images gave nothing for {limit:g} s{': ' if told else ''}{', '.join(told[:3])}",
            hint="look at the disk or mount of the dataset and at the machine's memory; "
            "`training: {loader_timeout_seconds: …}` in a backend waits longer",
        )
    )


def _state(pid: int) -> str:
    """Return the state of a process as the kernel writes it: one letter; empty if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
