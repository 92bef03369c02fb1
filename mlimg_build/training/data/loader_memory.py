"""Shared memory that processes need to send images: checked against the room in /dev/shm before they start."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.training.data.batches import BatchPlan

__all__ = [
    "SHARED",
    "UNREAD",
    "fitting_workers",
    "free_bytes",
    "needed_bytes",
    "piece_bytes",
    "pieces_at_once",
    "require_room",
]

SHARED = Path("/dev/shm")  # noqa: S108  where Linux keeps shared memory
MIB = 1 << 20
UNREAD = 2  # newest steps whose loss is not read yet, so that a loop need not wait for the GPU; their labels are kept


def piece_bytes(plan: BatchPlan, images: int, size: int) -> int:
    """Return the bytes of shared memory of a piece of `images` images: each tensor has whole pages.

    Its labels are counted as so many as an image of the split has on average.
    """
    return _pages(3 * size * size * images) + _light_bytes(plan, images)


def pieces_at_once(plan: BatchPlan, workers: int, prefetch: int) -> int:
    """Return the number of pieces that exist at the same time: those made ahead, and those of the batch in use."""
    return workers * prefetch + plan.pieces


def needed_bytes(plan: BatchPlan, steps: int, workers: int, prefetch: int) -> int:
    """Return the bytes of shared memory that processes need to send the batches of `steps` steps."""
    size = max(size for first, size in plan.sizes if first < max(steps, 1))
    count = min(pieces_at_once(plan, workers, prefetch), max(steps, 1) * plan.pieces)
    pieces = count * piece_bytes(plan, plan.piece_images, size)
    logged = UNREAD * _light_bytes(plan, plan.images) if plan.pieces == 1 else 0
    semaphores = 3 * (workers + 1) + 5  # of a queue a process, one for the results, and an event
    return pieces + logged + semaphores * mmap.PAGESIZE


def _light_bytes(plan: BatchPlan, images: int) -> int:
    """Return the bytes of the rows and labels of so many images."""
    entries = round(images * plan.samples.labels_per_image())
    return sum(_pages(tensor) for tensor in (8 * images, 8 * entries, 8 * entries, 4 * entries))


def free_bytes() -> int | None:
    """Return the room in /dev/shm, None if there is no such folder or it has no limit."""
    if not SHARED.is_dir():
        return None
    at = os.statvfs(SHARED)
    return at.f_bavail * at.f_frsize if at.f_blocks else None


def fitting_workers(plan: BatchPlan, steps: int, workers: int, prefetch: int) -> int:
    """Return the most processes, of at most `workers`, whose pieces fit into /dev/shm; 0 if not even one's do."""
    room = free_bytes()
    if room is None:
        return workers
    tried = range(workers, 0, -1)
    return next((fewer for fewer in tried if needed_bytes(plan, steps, fewer, prefetch) <= room), 0)


def require_room(plan: BatchPlan, steps: int, workers: int, prefetch: int) -> None:
    """Raises `TrainingError` `loader-failed` if /dev/shm has less room than `workers` processes need."""
    room, most = free_bytes(), fitting_workers(plan, steps, workers, prefetch)
    if room is None or most == workers:
        return
    need, count = needed_bytes(plan, steps, workers, prefetch), pieces_at_once(plan, workers, prefetch)
    raise TrainingError(
        Problem(
            "loader-failed",
            f"{SHARED} has room for {room / MIB:,.1f} MiB, and loading needs {need / MIB:,.1f} MiB: "
            f"{count} pieces of {plan.piece_images} images ({workers} loader_workers, loader_prefetch {prefetch})",
            hint=f"start the container with --shm-size={-(-need // MIB) + 1}m or more, or write "
            f"`training: {{loader_workers: {most}}}` in a backend, "
            f"{'' if prefetch == 1 else 'a lower loader_prefetch, '}or a smaller batch_size in the spec",
        )
    )


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
