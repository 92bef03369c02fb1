"""Images for evaluation and prediction: their centre crops in order, decoded ahead by threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.images import OpenImage, available_decoder, decode_crops
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.transforms import viewing_box
from mlimg_build.training.devices import ComputeDevice, available_cores

__all__ = ["ahead", "forward_images", "logits_of", "outputs_of", "view_of", "viewed"]

Given = TypeVar("Given")
Made = TypeVar("Made")
BATCH = 64  # images of one forward pass
ON_GPU = 256  # the same on a GPU, for images of up to 224 pixels


def ahead(make: Callable[[Given], Made], items: Iterable[Given], window: int = 4 * BATCH) -> Iterator[Made]:
    """Yield `make(item)` for every item, in order, computed ahead by threads; at most `window` results wait.

    There is a thread for each core that this process may use, 32 at most.
    """
    source = iter(items)
    with ThreadPoolExecutor(min(32, available_cores())) as pool:
        waiting: deque[Future[Made]] = deque(pool.submit(make, item) for item in islice(source, window))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(make, item) for item in islice(source, 1))
        finally:
            for future in waiting:
                future.cancel()


def view_of(image: OpenImage, size: int) -> Tensor:
    """Return the centre crop of an image, as `viewing_box` has it: uint8[3, size, size] in channels-last memory.

    Raises:
        BadImage: if the image does not decode.
    """
    output = np.empty((1, size, size, 3), np.uint8)
    box = np.array([viewing_box(image.width, image.height, size)])
    decode_crops((image,), box, np.zeros(1, bool), output, available_decoder(), bounded=False)
    return torch.from_numpy(output[0]).permute(2, 0, 1)


def forward_images(device: torch.device, size: int) -> int:
    """Return how many images of `size` pixels an evaluation takes through the network at once.

    On a GPU they are more, as long as they have no more pixels than 256 images of 224 × 224.

    >>> [forward_images(torch.device("cuda"), size) for size in (32, 224, 320, 512)]
    [256, 256, 125, 64]
    >>> forward_images(torch.device("cpu"), 224)
    64
    """
    return BATCH if device.type == "cpu" else max(BATCH, min(ON_GPU, ON_GPU * 224**2 // size**2))


def viewed(
    samples: Samples, rows: Iterable[int], size: int, batch_images: int = BATCH
) -> Iterator[tuple[list[int], Tensor]]:
    """Yield the images of these rows in batches: (rows, uint8[images, 3, size, size])."""
    decoder = available_decoder()

    def view(row: int) -> tuple[int, Tensor]:
        with samples.explained(row):
            return row, view_of(samples.open(row, decoder), size)

    made = ahead(view, rows, 4 * batch_images)
    while batch := list(islice(made, batch_images)):
        yield [row for row, _ in batch], torch.stack([image for _, image in batch])


def logits_of(
    network: Callable[[Tensor], Tensor], images: Tensor, machine: ComputeDevice, precision: str
) -> Tensor:
    """Return `outputs_of` on the CPU."""
    return outputs_of(network, images, machine, precision).cpu()


@torch.inference_mode()
def outputs_of(
    network: Callable[[Tensor], Tensor], images: Tensor, machine: ComputeDevice, precision: str
) -> Tensor:
    """Return what `network` (`Backbone.logits` or `.features`) gives for uint8 images: float32 there, a row each.

    Raises:
        TrainingError: `outputs-not-finite` if an output is infinite or NaN.
    """
    device = machine.device
    on_device = images.to(device, non_blocking=True, memory_format=machine.memory_format)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        said: Tensor = network(on_device)
    if not said.isfinite().all():
        message = "the network's outputs are not finite numbers, so they say nothing"
        hint = "the weights are damaged or training diverged; go back to an earlier checkpoint with --from"
        raise TrainingError(Problem("outputs-not-finite", message, hint=hint))
    return said.float()
