"""When a run writes a checkpoint, and how many it keeps; a thread writes them while the run goes on."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from mlimg_build.spec import TrainingBackend
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.snapshot import Snapshot
from mlimg_build.training.loop.trainer import Trainer
from mlimg_build.training.run_position import position_of

__all__ = ["CheckpointPolicy"]


class CheckpointPolicy:
    """A checkpoint at the end of each epoch and every `checkpoint_minutes`; the newest `keep_checkpoints` are kept.

    At most one is being written. As a context it waits at its end until the last one is, also after an exception.
    """

    def __init__(self, folder: Path, backend: TrainingBackend) -> None:
        self._folder, self._backend = folder, backend
        self._saved = time.monotonic()
        self._written: Event | None = (
            None  # of the last one; a `join` that Ctrl-C interrupts forgets its thread
        )
        self._failure: BaseException | None = None

    def is_due(self, *, end_of_epoch: bool) -> bool:
        """Return whether a checkpoint is to be written after the current step.

        Raises:
            DatasetError: `disk-full`, or another error, of the checkpoint before.
        """
        if self._written is not None and self._written.is_set():
            self.wait()
        return end_of_epoch or time.monotonic() - self._saved >= 60 * self._backend.checkpoint_minutes

    def save(self, step: int, learner: Trainer) -> None:
        """Copy the state after `step`; a thread writes it and removes checkpoints older than those that are kept.

        Raises:
            DatasetError: `disk-full`, or another error, of the checkpoint before, which is waited for.
        """
        self.wait()
        snapshot = Snapshot({**learner.state(), "position": position_of(learner.job)})
        written = Event()
        Thread(target=self._write, args=(step, snapshot, written), name="mlimg-checkpoint").start()
        self._written = written
        self._saved = time.monotonic()

    def wait(self) -> None:
        """Wait until the last checkpoint is written.

        Raises:
            DatasetError: `disk-full`, or another error of writing it.
        """
        if self._written is not None:
            self._written.wait()
            self._written = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write(self, step: int, snapshot: Snapshot, written: Event) -> None:
        try:
            checkpoints.save(self._folder, step, snapshot.read())
            checkpoints.prune(self._folder, self._backend.keep_checkpoints)
        except BaseException as error:  # it is raised where the run is
            self._failure = error
        finally:
            written.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.wait()
        elif self._written is not None:  # what ended the run is told
            self._written.wait()
