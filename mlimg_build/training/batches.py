"""Batches for training, the same whatever the number of worker processes, from any step on."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import Augmentation
from mlimg_build.training.augmenting import seeded, training_transform
from mlimg_build.training.order import Order
from mlimg_build.training.samples import Samples
from mlimg_build.training.targets import SparseLabels

__all__ = ["Batch", "Batches", "Stream"]


class Batch(NamedTuple):
    """What one step trains on: uint8 `images` [images, 3, size, size], their `rows` int64[images], their labels."""

    step: int
    rows: Tensor
    images: Tensor
    labels: SparseLabels


@dataclass(frozen=True, slots=True)
class Stream:
    """What decides every batch: step *s* has the positions `s * batch_size` and on of the order.

    `sizes` gives the input size from each step on. Rank `rank` of `ranks` gets its even share of every batch.
    """

    samples: Samples
    order: Order
    batch_size: int
    sizes: tuple[tuple[int, int], ...]  # (first step, pixels)
    augmentation: Augmentation
    seed: int
    rank: int = 0
    ranks: int = 1

    def rows(self, step: int) -> list[int]:
        """The rows that this rank trains on in a step, in the order of the batch."""
        part = self.batch_size // self.ranks
        rows: list[int] = self.order.rows(step * self.batch_size + self.rank * part, part).tolist()
        return rows

    def size(self, step: int) -> int:
        """The input size of a step, in pixels of a side."""
        return [size for first, size in self.sizes if first <= step][-1]

    def batch(self, step: int) -> Batch:
        """The batch of a step. What is random about an image follows from the seed and its position alone."""
        rows = self.rows(step)
        transform, least = training_transform(self.augmentation, self.size(step))
        first = step * self.batch_size + self.rank * len(rows)
        images = []
        for position, row in enumerate(rows, first):
            with seeded(self.seed, position):
                images.append(transform(self.samples.pixels(row, least)))
        return Batch(step, torch.tensor(rows), torch.stack(images), self.samples.labels(rows))


class Batches(IterableDataset[Any]):
    """The batches of steps `start` to `stop` of a stream; each worker process makes whole batches in turn.

    Iterate over `load`, which gives `Batch` values in order; a DataLoader with `batch_size=None` does the same, but
    gives the problems of a worker as values instead of raising them.
    """

    def __init__(self, stream: Stream, start: int, stop: int) -> None:
        self.stream = stream
        self.start = start
        self.stop = stop

    def __iter__(self) -> Iterator[Batch | tuple[Problem, ...]]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self.start + first, self.stop, stride):
            try:
                yield self.stream.batch(step)
            except MlimgError as error:  # a DataLoader would make another error of it
                yield error.problems
                return

    def load(self, workers: int, pin: bool = False) -> Iterator[Batch]:
        """The batches in order, made by `workers` processes ahead of their use (0: here, one after another).

        Raises the `MlimgError` of the worker that met one.
        """
        more: dict[str, Any] = {}
        if workers:
            context = multiprocessing.get_context("forkserver")  # a fork of this process would inherit its threads
            context.set_forkserver_preload([__name__])
            more = {"multiprocessing_context": context, "prefetch_factor": 2}
        loader: DataLoader[Any] = DataLoader(
            self, batch_size=None, num_workers=workers, pin_memory=pin, worker_init_fn=_heedless, **more
        )
        for made in loader:
            if not isinstance(made, Batch):
                raise MlimgError(made)
            yield made


def _heedless(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; only the one that trains decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
