"""Labels of a batch: sparse as they are stored, dense where they are used."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from mlimg_build.training.devices import send

__all__ = ["MASKED", "SparseLabels", "SparseTargets", "Targets", "dense"]

MASKED = -1.0  # "ignore", as in Tencent's published training script


class SparseLabels(NamedTuple):
    """The known labels of a batch: entry *e* says that image `image[e]` has `category[e]` with `target[e]`.

    `image` and `category` are int64[entries]; `target` is float32[entries]: the confidence (0 to 1) of a present label,
    0 of a verified absence. What is not listed is unknown. An image has a category at most once.
    """

    image: Tensor
    category: Tensor
    target: Tensor

    def part(self, start: int, stop: int) -> SparseLabels:
        """Return the labels of images `start` to `stop`, which are counted from 0 again."""
        chosen = (self.image >= start) & (self.image < stop)
        return SparseLabels(self.image[chosen] - start, self.category[chosen], self.target[chosen])

    def to(self, device: torch.device) -> SparseLabels:
        """Return the same labels on `device`; this process does not wait for a GPU to have them."""
        return SparseLabels(*(send(part, device) for part in self))


class SparseTargets(NamedTuple):
    """What `dense` would write out: the known labels of a batch, and what all others count as, "masked" or "absent"."""

    labels: SparseLabels
    unknown: str


Targets: TypeAlias = Tensor | SparseTargets
"""What a loss takes: float[images, categories], 0 to 1 or masked (-1), or the same as `SparseTargets`."""


def dense(labels: SparseLabels, images: int, categories: int, unknown: str) -> Tensor:
    """Return float32[images, categories] on the labels' device: 0 to 1, and -1 for unknown if `unknown` is "masked".

    If `unknown` is "absent", unknown is 0, as in the published training.
    """
    fill = MASKED if unknown == "masked" else 0.0
    target = torch.full((images, categories), fill, dtype=torch.float32, device=labels.target.device)
    target[labels.image, labels.category] = labels.target
    return target
