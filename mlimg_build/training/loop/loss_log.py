"""The losses of a run on their way from the device into its history, some steps late."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlimg_build.training.data.batches import Batch
from mlimg_build.training.loop.history import History
from mlimg_build.training.loop.step_errors import not_finite
from mlimg_build.training.loop.trainer import Trainer

__all__ = ["LossLog"]

RECORDS = 5000  # of a run's history, about; every step where there are fewer


class _Pending(NamedTuple):
    """A step whose loss nobody has looked at: its batch without images, loss, learning rate, and when it was done."""

    batch: Batch
    loss: Tensor
    rate: float
    stamp: float


class LossLog:
    """Takes the loss of each step and records it once it is asked for, so that the device need not be waited for."""

    def __init__(self, learner: Trainer, history: History, told: Callable[[dict[str, Any]], None]) -> None:
        self._learner, self._history, self._told = learner, history, told
        self._every = max(1, learner.job.steps // RECORDS)
        self._pending: deque[_Pending] = deque()
        self._since, self._paused, self._images = time.monotonic(), 0.0, 0

    def add(self, batch: Batch, loss: Tensor, rate: float) -> None:
        """Takes a step in; the images of its batch are not kept."""
        light = batch._replace(images=torch.empty(0))
        self._pending.append(_Pending(light, loss, rate, time.monotonic() - self._paused))

    def record(self, keep: int) -> None:
        """Looks at the losses of all but the newest `keep` steps; raises `LossNotFinite`."""
        job = self._learner.job
        while len(self._pending) > keep:
            batch, tensor, rate, stamp = self._pending.popleft()
            loss, done = tensor.item(), batch.step + 1
            if not math.isfinite(loss):
                raise not_finite(batch, loss, self._learner)
            self._images += len(batch.rows) * job.stream.ranks
            if done % self._every == 0 or done == job.steps:
                speed = self._images / max(stamp - self._since, 1e-9)
                self._since, self._images = stamp, 0
                values = {
                    "epoch": done / job.steps_per_epoch,
                    "loss": loss,
                    "rate": rate,
                    "images_per_second": speed,
                }
                self._history.step(done, **values)
                self._told({"kind": "step", "step": done, **values})

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time inside the block is no time of training."""
        began = time.monotonic()
        yield
        self._paused += time.monotonic() - began
