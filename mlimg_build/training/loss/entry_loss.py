"""What every loss over labels of three states has: entries summed over categories, averaged over images."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from mlimg_build.training.data.targets import MASKED

__all__ = ["EntryLoss"]


class EntryLoss(nn.Module):
    """`loss(logits, targets)` after `loss.observe(targets, step)`: sum_j mean_i [y_ij != -1] * entry(z_ij, y_ij).

    What is registered as a buffer is part of every checkpoint.
    """

    def observe(self, targets: Tensor, step: int) -> None:
        """Take in the labels of the whole batch, once a step; by default nothing follows from them."""

    @abstractmethod
    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each entry; all three are float[images, categories], targets 0 to 1 or masked."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar; `logits` and `targets` are float[images, categories], narrow logits are widened.

        Over the parts of a batch, the mean of their losses weighted by their images is the loss of the batch.
        """
        wide = logits if logits.dtype == torch.float64 else logits.float()
        entries = self.entries(wide, targets.to(wide.dtype))
        return torch.where(targets != MASKED, entries, 0).mean(dim=0).sum()
