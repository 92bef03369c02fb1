"""The focal loss: cross-entropy in which well-classified labels count less.

Source: Lin et al., ICCV 2017 (arXiv 1708.02002), equation 5 in its sigmoid form.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mlimg_build.spec import FocalLossPart
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.focused import focused

__all__ = ["FocalLoss"]


class FocalLoss(EntryLoss):
    """FL(p_t) = -alpha_t (1 - p_t)^gamma log p_t, with p = sigmoid(z); -1 is masked.

    p_t is p for a present label and 1 - p for an absent one; alpha_t is alpha and 1 - alpha, or 1 for both where
    alpha is None. A label of confidence y, 0 < y < 1, has y times the loss of a present and 1 - y times that of an
    absent one, as cross-entropy has. With gamma 0 and without alpha it is binary cross-entropy.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        self.gamma = gamma
        self.alphas = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)

    @classmethod
    def of(cls, part: FocalLossPart, categories: int, seed: int) -> FocalLoss:
        """Return the loss that a spec describes."""
        return cls(gamma=part.gamma, alpha=part.alpha)

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, float of the shape of `logits`.

        -log p is softplus(-z) and 1 - p is exp(-softplus(z)), so that nothing overflows and no power has base 0.
        """
        absent, present = softplus(logits), softplus(-logits)  # -log(1 - p) and -log p
        up, down = self.alphas
        as_present = up * torch.exp(-self.gamma * absent) * present
        as_absent = down * torch.exp(-self.gamma * present) * absent
        return targets * as_present + (1 - targets) * as_absent

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss of each entry if it is absent and its derivative, float of the shape of `logits`."""
        values, slopes = focused(logits, self.gamma)
        down = self.alphas[1]
        return (values, slopes) if down == 1 else (values.mul_(down), slopes.mul_(down))
