"""Training batches, from any step on; they are the same for every number of worker processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mlimg_build.errors import MlimgError, Problem, TrainingError
from mlimg_build.spec import Augmentation
from mlimg_build.training.data.loader_processes import loaded
from mlimg_build.training.data.loader_worker import SentPiece
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.shuffle_order import ShuffleOrder
from mlimg_build.training.data.targets import SparseLabels
from mlimg_build.training.data.transforms import seeded, training_transform

__all__ = ["Batch", "BatchLoader", "BatchPlan"]

PIECE = 256  # images that one process makes at a time
FAILED = "loader-failed"


class Batch(NamedTuple):
    """The input of one step: uint8 `images` [images, 3, size, size], their `rows` int64[images], their labels."""

    step: int
    rows: Tensor
    images: Tensor
    labels: SparseLabels


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Everything that decides a batch: step *s* has the positions of the order from `s * batch_size` on.

    `sizes` gives the input size from each step on. Rank `rank` of `ranks` gets its even share of every batch.
    """

    samples: Samples
    order: ShuffleOrder
    batch_size: int
    sizes: tuple[tuple[int, int], ...]  # (first step, pixels)
    augmentation: Augmentation
    seed: int
    rank: int = 0
    ranks: int = 1

    @property
    def images(self) -> int:
        """The number of images of a batch on this rank."""
        return self.batch_size // self.ranks

    @property
    def pieces(self) -> int:
        """The number of parts of a batch: processes share a large batch, and none of them prefetches whole ones."""
        return -(-self.images // PIECE)

    @property
    def piece_images(self) -> int:
        """The number of images of the largest part of a batch."""
        return -(-self.images // self.pieces)

    def size(self, step: int) -> int:
        """Return the input size of a step, in pixels of a side."""
        return [size for first, size in self.sizes if first <= step][-1]

    def batch(self, step: int) -> Batch:
        """Return the batch of a step. The augmentation of an image follows from the seed and its position alone."""
        return _joined([self.piece(step, number) for number in range(self.pieces)])

    def piece(self, step: int, number: int) -> Batch:
        """Return part `number` of the batch of a step."""
        bounds = [self.images * i // self.pieces for i in (number, number + 1)]
        first = step * self.batch_size + self.rank * self.images + bounds[0]
        rows: list[int] = self.order.rows(first, bounds[1] - bounds[0]).tolist()
        transform, least = training_transform(self.augmentation, self.size(step))
        images = []
        for position, row in enumerate(rows, first):
            with seeded(self.seed, position):
                images.append(transform(self.samples.pixels(row, least)))
        return Batch(step, torch.tensor(rows), torch.stack(images), self.samples.labels(rows))


def _joined(pieces: Sequence[Batch]) -> Batch:
    """Join the pieces of one batch."""
    if len(pieces) == 1:
        return pieces[0]
    labels, done = [], 0
    for piece in pieces:
        labels.append(piece.labels._replace(image=piece.labels.image + done))
        done += len(piece.rows)
    return Batch(
        pieces[0].step,
        torch.cat([piece.rows for piece in pieces]),
        torch.cat([piece.images for piece in pieces]),
        SparseLabels(*(torch.cat(parts) for parts in zip(*labels, strict=True))),
    )


class BatchLoader(IterableDataset[Any]):
    """The batches of steps `start` to `stop` of a plan, in pieces; worker processes make them in turn.

    Iterate over `load`, which gives whole `Batch` values in order; a DataLoader with `batch_size=None` gives their
    pieces, and the problems of a worker as values instead of raising them. Workers send pieces as `SentPiece`.
    """

    def __init__(self, stream: BatchPlan, start: int, stop: int) -> None:
        self.stream = stream
        self.start = start
        self.stop = stop

    def __iter__(self) -> Iterator[Batch | SentPiece | tuple[Problem, ...]]:
        worker = get_worker_info()
        first, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        pieces = self.stream.pieces
        for number in range(self.start * pieces + first, self.stop * pieces, stride):
            try:
                piece = self.stream.piece(*divmod(number, pieces))
                made = _sent(piece) if worker else piece
            except MlimgError as error:  # a DataLoader would raise another error for it
                made = error.problems
            yield made
            if isinstance(made, tuple) and not isinstance(made, Batch):
                return
            del piece, made

    def load(
        self, workers: int, pin: bool = False, *, prefetch: int = 2, limit: float = 300.0
    ) -> Iterator[Batch]:
        """Yield the batches in order, made by `workers` processes ahead of their use (0: here, one after another).

        Each process makes up to `prefetch` pieces ahead.

        Raises:
            MlimgError: the error of a worker, with its problems.
            TrainingError: `loader-failed` if a worker process ended or has no room for a piece, `loader-silent` if
                nothing came for `limit` seconds of waiting.
        """
        if workers:
            source = loaded(self, workers, prefetch=prefetch, pin=pin, limit=limit)
        else:
            source = iter(DataLoader(self, batch_size=None, num_workers=0, pin_memory=pin))
        waiting: list[Batch] = []
        for made in source:
            if not isinstance(made, Batch):
                raise TrainingError(made) if made[0].code == FAILED else MlimgError(made)
            waiting.append(made)
            if len(waiting) == self.stream.pieces:
                yield _joined(waiting)
                waiting = []


def _sent(piece: Batch) -> SentPiece | tuple[Problem, ...]:
    """Return a piece in shared memory, or why it cannot be sent."""
    try:
        return SentPiece(piece)
    except (RuntimeError, OSError) as error:
        message = f"a process that loads images cannot send them: {str(error).partition(chr(10))[0][:200]}"
        hint = (
            "start the container with a larger --shm-size, or set fewer `training: {loader_workers: …}` or a lower "
            "`loader_prefetch` in a backend; 0 workers need no shared memory"
        )
        return (Problem(FAILED, message, hint=hint),)
