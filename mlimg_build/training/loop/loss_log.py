"""Record the losses of a run in its history, some steps after they were computed on the device."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlimg_build.training.data.batches import Batch
from mlimg_build.training.loop.history import History
from mlimg_build.training.loop.step_errors import not_finite
from mlimg_build.training.loop.trainer import Trainer

__all__ = ["LossLog"]

RECORDS = 5000  # steps in a run's history, about; a shorter run records every step


class _Pending(NamedTuple):
    """A step whose loss was not read yet: its batch without images, what it told, learning rate, when it was done.

    `waited` are the seconds that the run had waited for batches by then.
    """

    batch: Batch
    told: _Told
    rate: float
    stamp: float
    waited: float


class _Told:
    """Two numbers on their way from the device: reading them waits for their own step and not for later ones."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers, self._copied = numbers, None
        if numbers.device.type == "cuda":
            self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers.copy_(numbers, non_blocking=True)
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def read(self) -> list[float]:
        """Return them."""
        if self._copied is not None:
            self._copied.synchronize()
        numbers: list[float] = self._numbers.tolist()
        return numbers


class LossLog:
    """Takes the loss of each step and records it some steps later, so that the loop need not wait for the device."""

    def __init__(self, learner: Trainer, history: History, told: Callable[[dict[str, Any]], None]) -> None:
        self._learner, self._history, self._told = learner, history, told
        self._every = max(1, learner.job.steps // RECORDS)
        self._pending: deque[_Pending] = deque()
        self._since, self._paused, self._images = time.monotonic(), 0.0, 0
        self._waited = self._waited_before = 0.0

    def timed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches; the time that each takes to come counts as waiting."""
        source = iter(batches)
        while True:
            began = time.monotonic()
            batch = next(source, None)
            self._waited += time.monotonic() - began
            if batch is None:
                return
            yield batch

    def add(self, batch: Batch, told: Tensor, rate: float) -> None:
        """Add the loss of a step and the norm of its gradient, float[2]; the images of its batch are not kept."""
        light = batch._replace(images=torch.empty(0))
        stamp = time.monotonic() - self._paused
        self._pending.append(_Pending(light, _Told(told), rate, stamp, self._waited))

    def record(self, keep: int) -> None:
        """Record the losses of all but the newest `keep` steps.

        Raises:
            LossNotFinite: if a loss or the norm of a gradient is infinite or NaN.
        """
        job = self._learner.job
        while len(self._pending) > keep:
            batch, told, rate, stamp, waited = self._pending.popleft()
            (loss, norm), done = told.read(), batch.step + 1
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise not_finite(batch, loss, norm, self._learner)
            self._images += len(batch.rows) * job.stream.ranks
            if done % self._every == 0 or done == job.steps:
                seconds = max(stamp - self._since, 1e-9)
                values = {
                    "epoch": done / job.steps_per_epoch,
                    "loss": loss,
                    "rate": rate,
                    "gradient_norm": norm,
                    "images_per_second": self._images / seconds,
                    "waiting": min((waited - self._waited_before) / seconds, 1.0),
                }
                self._since, self._images, self._waited_before = stamp, 0, waited
                self._history.step(done, **values)
                self._told({"kind": "step", "step": done, **values})

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time inside the block out of the training speed."""
        began = time.monotonic()
        yield
        self._paused += time.monotonic() - began
