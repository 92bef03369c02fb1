"""Images on their way to the device: a part of a batch is copied while the one before it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mlimg_build.training import devices

__all__ = ["DeviceFeed"]


class DeviceFeed:
    """Copies images to a device in parts; on a GPU by a stream beside that of the computation.

    Two places on the GPU hold a part each and take turns, so a whole batch is never there. A part is copied into a
    place as soon as the part that was there before is computed, also if that was of the batch before; nothing of this
    is waited for here. `cuda` is `torch.cuda` or what acts like it; None copies a batch as a whole, in order.
    """

    def __init__(self, device: torch.device, memory_format: torch.memory_format, cuda: Any = None) -> None:
        self._device, self._format, self._cuda = device, memory_format, cuda
        if cuda is not None:
            self._side = cuda.Stream()
            self._places: list[Tensor | None] = [None, None]
            self._computed = [
                cuda.Event(),
                cuda.Event(),
            ]  # waiting for one that was never recorded ends at once
            self._copied = [cuda.Event(), cuda.Event()]
            self._turn = 0

    def parts(self, images: Tensor, bounds: Sequence[slice]) -> Iterator[tuple[slice, Tensor]]:
        """Yield each slice of `bounds` with its images on the device: uint8[images, 3, height, width].

        The work on a part must have been given to the device, its gradients included, before the next is asked for.
        """
        if self._cuda is None:
            there = devices.send(images, self._device).contiguous(memory_format=self._format)
            for part in bounds:
                yield part, there[part]
            return
        coming = self._copy(images[bounds[0]])
        for number, part in enumerate(bounds):
            place, there = coming
            if number + 1 < len(bounds):
                coming = self._copy(images[bounds[number + 1]])
            self._cuda.current_stream().wait_event(self._copied[place])
            yield part, there
            self._computed[place].record(self._cuda.current_stream())

    def _copy(self, images: Tensor) -> tuple[int, Tensor]:
        """Copy a part into the place whose turn it is; return the place and the part there."""
        place, self._turn = self._turn, 1 - self._turn
        source, there = devices.pinned(images), self._place(place, images)
        with self._cuda.stream(self._side):
            self._side.wait_event(self._computed[place])
            there.copy_(source, non_blocking=True)
            self._copied[place].record(self._side)
        return place, there

    def _place(self, place: int, images: Tensor) -> Tensor:
        """Return memory for a part; that of a place is kept while its images have one size and are no more."""
        held = self._places[place]
        if held is None or held.shape[1:] != images.shape[1:] or len(held) < len(images):
            if held is not None:
                held.record_stream(self._side)  # its memory is free once both streams are past it
            self._places[place] = held = torch.empty(
                images.shape, dtype=images.dtype, device=self._device, memory_format=self._format
            )
            # the computation may still work in what the new memory was before
            self._side.wait_stream(self._cuda.current_stream())
        return held[: len(images)]
