"""Training batches, from any step on; they are the same for every number of threads or processes that make them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mlimg_build.dataset import ReadBuffer
from mlimg_build.errors import MlimgError, Problem, TrainingError
from mlimg_build.images import Decoder
from mlimg_build.spec import Augmentation
from mlimg_build.training.data.augmentation import augment, draw
from mlimg_build.training.data.loader_processes import loaded
from mlimg_build.training.data.loader_threads import Part, made_by_threads
from mlimg_build.training.data.loader_worker import SentPiece
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.shuffle_order import ShuffleOrder
from mlimg_build.training.data.targets import SparseLabels

__all__ = ["Batch", "BatchLoader", "BatchPlan"]

PIECE = 256  # images that one process makes at a time
PART = 32  # and one thread
FAILED = "loader-failed"
_OF_THREAD = threading.local()


class Batch(NamedTuple):
    """The input of one step: its images, their `rows` int64[images] and their labels.

    `images` is uint8[images, 3, size, size], in channels-last memory.
    """

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
    decoder: Decoder
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

    @property
    def in_threads(self) -> bool:
        """Whether threads make the batches: the compiled extension works without the GIL, Python does not."""
        return self.decoder == "partial"

    def size(self, step: int) -> int:
        """Return the input size of a step, in pixels of a side."""
        return [size for first, size in self.sizes if first <= step][-1]

    def empty(self, step: int, images: int, pin: bool = False) -> Tensor:
        """Return uint8[images, size, size, 3] for images of a step; `pin`: in page-locked memory."""
        size = self.size(step)
        return torch.empty((images, size, size, 3), dtype=torch.uint8, pin_memory=pin)

    def rows(self, step: int, start: int, stop: int) -> tuple[int, NDArray[np.int64]]:
        """Return the position in the order of image `start` of a step's batch, and the rows of the images to `stop`."""
        first = step * self.batch_size + self.rank * self.images + start
        return first, self.order.rows(first, stop - start)

    def fill(self, first: int, rows: Sequence[int], output: NDArray[np.uint8]) -> SparseLabels:
        """Write the images of these rows, at positions from `first` on, to uint8[rows, size, size, 3].

        Returns their labels. The augmentation of an image follows from the seed and its position alone. Threads may
        call this at the same time.
        """
        samples, decoder = self.samples, self.decoder
        if not hasattr(_OF_THREAD, "buffer"):
            _OF_THREAD.buffer = ReadBuffer()
        opened = samples.open_all(rows, decoder, _OF_THREAD.buffer)
        widths, heights = (np.array([getattr(one, side) for one in opened]) for side in ("width", "height"))
        changes = draw(self.augmentation, self.seed, np.arange(first, first + len(rows)), widths, heights)
        samples.crops(rows, opened, changes.boxes, changes.mirrored, output, decoder, bounded=True)
        augment(output, changes, decoder == "partial")
        return samples.labels(rows)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        return _joined([self.piece(step, number) for number in range(self.pieces)])

    def piece(self, step: int, number: int) -> Batch:
        """Return part `number` of the batch of a step."""
        start, stop = (self.images * i // self.pieces for i in (number, number + 1))
        first, rows = self.rows(step, start, stop)
        images = self.empty(step, len(rows))
        labels = self.fill(first, rows.tolist(), images.numpy())
        return Batch(step, torch.from_numpy(rows), images.permute(0, 3, 1, 2), labels)


def _joined(pieces: Sequence[Batch]) -> Batch:
    """Join the pieces of one batch."""
    if len(pieces) == 1:
        return pieces[0]
    images = torch.cat([piece.images.permute(0, 2, 3, 1) for piece in pieces]).permute(0, 3, 1, 2)
    return Batch(pieces[0].step, *_light([(piece.rows, piece.labels) for piece in pieces], images))


def _light(
    parts: Sequence[tuple[Tensor, SparseLabels]], images: Tensor
) -> tuple[Tensor, Tensor, SparseLabels]:
    """Return rows, images and labels of a batch; `parts` are the rows and labels of its images in order."""
    labels, done = [], 0
    for rows, part in parts:
        labels.append(part._replace(image=part.image + done))
        done += len(rows)
    joined = SparseLabels(*(torch.cat(columns) for columns in zip(*labels, strict=True)))
    return torch.cat([rows for rows, _ in parts]), images, joined


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
        """Yield the batches in order, made ahead of their use by `workers` (0: here, one after another).

        They are threads with the decoder "partial", else processes. Each makes up to `prefetch` pieces of up to 256
        images ahead, or as many images.

        Raises:
            MlimgError: the error of a worker, with its problems.
            TrainingError: `loader-failed` if a worker process ended or has no room for a piece, `loader-silent` if
                nothing came for `limit` seconds of waiting.
        """
        if workers and self.stream.in_threads:
            yield from self._by_threads(workers, pin, prefetch, limit)
            return
        plan = self.stream
        alone = plan.pieces == 1
        if workers:
            source = loaded(self, workers, prefetch=prefetch, pin=pin and alone, limit=limit)
        else:
            source = iter(DataLoader(self, batch_size=None, num_workers=0, pin_memory=pin and alone))
        waiting: list[tuple[Tensor, SparseLabels]] = []
        images = None
        for made in source:
            if not isinstance(made, Batch):
                raise TrainingError(made) if made[0].code == FAILED else MlimgError(made)
            if alone:
                yield made
                continue
            if images is None:  # each piece is copied to its place once, from which a GPU copies by itself
                images = plan.empty(made.step, plan.images, pin)
            done = sum(len(rows) for rows, _ in waiting)
            images[done : done + len(made.rows)] = made.images.permute(0, 2, 3, 1)
            waiting.append((made.rows, made.labels))
            if len(waiting) == plan.pieces:
                yield Batch(made.step, *_light(waiting, images.permute(0, 3, 1, 2)))
                waiting, images = [], None
            del made  # its shared memory

    def _by_threads(self, threads: int, pin: bool, prefetch: int, limit: float) -> Iterator[Batch]:
        """Yield the batches; each part is written where it lies in its batch, so that nothing is copied or joined."""
        plan, count = self.stream, -(-self.stream.images // PART)
        bounds = [plan.images * i // count for i in range(count + 1)]

        def parts() -> Iterator[Part[tuple[int, Tensor], tuple[Tensor, SparseLabels]]]:
            for step in range(self.start, self.stop):
                images = plan.empty(step, plan.images, pin)
                for start, stop in pairwise(bounds):
                    yield Part((step, images), partial(make, step, start, stop, images[start:stop]))

        def make(
            step: int, start: int, stop: int, to: Tensor, lock: threading.Lock
        ) -> tuple[Tensor, SparseLabels]:
            with lock:  # the order keeps its last window
                first, rows = plan.rows(step, start, stop)
            return torch.from_numpy(rows), plan.fill(first, rows.tolist(), to.numpy())

        ahead = max(
            threads * prefetch, count + threads
        )  # so that the next batch is begun while one is waited for
        made: list[tuple[Tensor, SparseLabels]] = []
        for (step, images), result in made_by_threads(parts(), threads, ahead, limit):
            made.append(result)
            if len(made) == count:
                yield Batch(step, *_light(made, images.permute(0, 3, 1, 2)))
                made = []


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
