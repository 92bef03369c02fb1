"""When a run writes a checkpoint, and how many it keeps."""

from __future__ import annotations

import time
from pathlib import Path

from mlimg_build.spec import TrainingBackend
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.trainer import Trainer
from mlimg_build.training.run_position import position_of

__all__ = ["CheckpointPolicy"]


class CheckpointPolicy:
    """A checkpoint at the end of each epoch and every `checkpoint_minutes`; the newest `keep_checkpoints` are kept."""

    def __init__(self, folder: Path, backend: TrainingBackend) -> None:
        self._folder, self._backend = folder, backend
        self._saved = time.monotonic()

    def is_due(self, *, end_of_epoch: bool) -> bool:
        """Return whether a checkpoint is to be written after the current step."""
        return end_of_epoch or time.monotonic() - self._saved >= 60 * self._backend.checkpoint_minutes

    def save(self, step: int, learner: Trainer) -> None:
        """Write the state after `step`, and remove checkpoints older than those that are kept."""
        state = {**learner.state(), "position": position_of(learner.job)}
        checkpoints.save(self._folder, step, state)
        checkpoints.prune(self._folder, self._backend.keep_checkpoints)
        self._saved = time.monotonic()
