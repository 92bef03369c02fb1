"""Plain binary cross-entropy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from mlimg_build.spec import BinaryCrossEntropyPart
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.prior import LabelPrior

__all__ = ["BinaryCrossEntropy"]


class BinaryCrossEntropy(EntryLoss):
    """entry(z, y) = y * softplus(-z) + (1 - y) * softplus(z); -1 is masked."""

    @classmethod
    def of(cls, part: BinaryCrossEntropyPart, categories: int, seed: int) -> BinaryCrossEntropy:
        """Return the loss that a spec describes."""
        return cls()

    def prior_shift(self, prior: LabelPrior, batch_size: int) -> NDArray[np.float64]:
        """Return zeros: the best logit is the log-odds of the label; float64[categories]."""
        return np.zeros_like(prior.label)

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, float of the shape of `logits`."""
        return targets * softplus(-logits) + (1 - targets) * softplus(logits)

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return softplus(z) and its derivative, sigmoid(z), float of the shape of `logits`."""
        return softplus(logits), logits.sigmoid()
