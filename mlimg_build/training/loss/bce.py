"""Plain binary cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from mlimg_build.spec import BinaryCrossEntropyPart
from mlimg_build.training.loss.entry_loss import EntryLoss

__all__ = ["BinaryCrossEntropy"]


class BinaryCrossEntropy(EntryLoss):
    """entry(z, y) = y * softplus(-z) + (1 - y) * softplus(z); -1 is masked."""

    @classmethod
    def of(cls, part: BinaryCrossEntropyPart, categories: int, seed: int) -> BinaryCrossEntropy:
        """Return the loss that a spec describes."""
        return cls()

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, float[images, categories]."""
        return targets * softplus(-logits) + (1 - targets) * softplus(logits)
