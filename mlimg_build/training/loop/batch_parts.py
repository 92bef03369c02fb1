"""The parts of a batch that go through the network at once, and what they mean for torch.compile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch._dynamo

from mlimg_build.errors import Problem

__all__ = ["even_parts", "room_for_programs", "uneven_parts"]

PROGRAMS = 2  # that a run may compile for each shape of its images


def even_parts(images: int, most: int) -> list[slice]:
    """Return the fewest parts of at most `most` images, as equal as they can be, for the sake of batch norm.

    >>> [(part.start, part.stop) for part in even_parts(16, 5)]
    [(0, 4), (4, 8), (8, 12), (12, 16)]
    """
    count = -(-images // most)
    bounds = [images * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(bounds)]


def part_sizes(images: int, most: int) -> list[int]:
    """Return the different numbers of images of the parts of a batch: one or two.

    >>> part_sizes(16, 5), part_sizes(10, 4)
    ([4], [3, 4])
    """
    return sorted({part.stop - part.start for part in even_parts(images, most)})


def uneven_parts(images: int, micro_batch: int | None) -> Problem | None:
    """Return the warning `uneven-parts` if parts of a batch differ in size: each size is compiled by itself.

    >>> problem = uneven_parts(256, 100)
    >>> problem.message
    'micro_batch 100 takes a batch of 256 images apart into parts of 85 and 86, and each size is compiled by itself'
    >>> problem.hint
    'micro_batch: 64 makes equal parts'
    >>> uneven_parts(256, 64), uneven_parts(256, None)
    (None, None)
    """
    most = micro_batch or images
    sizes = part_sizes(images, most)
    if len(sizes) == 1:
        return None
    equal = max(size for size in range(1, most + 1) if images % size == 0)
    message = (
        f"micro_batch {most} takes a batch of {images} images apart into parts of {sizes[0]} and {sizes[1]}, "
        "and each size is compiled by itself"
    )
    hint = (
        f"micro_batch: {equal} makes equal parts"
        if 2 * equal >= most
        else "choose a multiple of it as batch_size"
    )
    return Problem("uneven-parts", message, hint=hint, severity="warning")


@contextmanager
def room_for_programs(image_sizes: int, images: int, micro_batch: int | None) -> Iterator[None]:
    """Let torch.compile keep a program for each shape of a run inside the block.

    Past its limit of eight it runs the network as it is, for the rest of the process.
    """
    wanted = PROGRAMS * image_sizes * len(part_sizes(images, micro_batch or images))
    config: Any = torch._dynamo.config
    with config.patch(
        recompile_limit=max(wanted, config.recompile_limit),
        accumulated_recompile_limit=max(wanted, config.accumulated_recompile_limit),
    ):
        yield
