"""The base of the losses over three label states: entries are summed over categories, averaged over images."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from mlimg_build.training.data.targets import MASKED

__all__ = ["EntryLoss"]


class EntryLoss(nn.Module):
    """`loss(logits, targets)` after `loss.observe(targets, step)`: sum_j mean_i [y_ij != -1] * entry(z_ij, y_ij).

    Its persistent buffers are part of every checkpoint.
    """

    def observe(self, targets: Tensor, step: int) -> None:
        """Update the loss from the labels of the whole batch, once per step; does nothing by default."""

    @abstractmethod
    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry; all three are float[images, categories], targets 0 to 1 or masked."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar; `logits` and `targets` are float[images, categories].

        It is computed in float32, or in float64 for such logits. The loss of a batch is the mean of the
        losses of its parts, weighted by their numbers of images.
        """
        wide = logits if logits.dtype == torch.float64 else logits.float()
        entries = self.entries(wide, targets.to(wide.dtype))
        return torch.where(targets != MASKED, entries, 0).mean(dim=0).sum()
