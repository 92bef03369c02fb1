"""The asymmetric loss: easy absent labels count less than easy present ones, the easiest not at all.

Source: Ridnik et al., ICCV 2021 (arXiv 2009.14119), equations 4 to 7.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from mlimg_build.spec import AsymmetricLossPart
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.focused import focused, power

__all__ = ["AsymmetricLoss"]


class AsymmetricLoss(EntryLoss):
    """-y L+ - (1 - y) L-, with p = sigmoid(z) and p_m = max(p - margin, 0); -1 is masked.

    L+ = (1 - p)^gamma_positive log p and L- = p_m^gamma_negative log(1 - p_m). A label of confidence y, 0 < y < 1,
    has y times the loss of a present and 1 - y times that of an absent one. With both gammas and the margin 0 it is
    binary cross-entropy.
    """

    def __init__(
        self, *, gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05
    ) -> None:
        super().__init__()
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.margin = margin

    @classmethod
    def of(cls, part: AsymmetricLossPart, categories: int, seed: int) -> AsymmetricLoss:
        """Return the loss that a spec describes."""
        return cls(gamma_positive=part.gamma_positive, gamma_negative=part.gamma_negative, margin=part.margin)

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, float of the shape of `logits`."""
        absent, present = softplus(logits), softplus(-logits)  # -log(1 - p) and -log p
        as_present = torch.exp(-self.gamma_positive * absent) * present
        if self.margin:
            shifted = torch.sigmoid(logits) - self.margin  # at most 1 - margin, so its logarithm is finite
            counts = shifted > 0
            inside = torch.where(counts, shifted, 0.5)  # a power of 0 has no gradient
            as_absent = torch.where(counts, inside.pow(self.gamma_negative) * -torch.log1p(-inside), 0)
        else:
            as_absent = torch.exp(-self.gamma_negative * present) * absent
        return targets * as_present + (1 - targets) * as_absent

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return L- of each logit and its derivative, float of the shape of `logits`; both are 0 up to the margin.

        With q = p_m the derivative is p (1 - p) q^(gamma - 1) (q / (1 - q) - gamma log(1 - q)).
        """
        gamma = self.gamma_negative
        if not self.margin:
            return focused(logits, gamma)
        score = logits.sigmoid()
        shifted = (score - self.margin).clamp_(min=0)
        factor, rest = power(shifted, gamma - 1), 1 - shifted
        logs = shifted.neg().log1p_()
        values = (shifted * logs).mul_(factor).neg_()
        slopes = (
            shifted.div_(rest)
            .sub_(logs, alpha=gamma)
            .mul_(factor)
            .mul_(score.addcmul_(score, score, value=-1))
        )
        if gamma > 1:
            return values, slopes
        below = logs == 0  # where the power has no finite value, or is 1
        return values.masked_fill_(below, 0), slopes.masked_fill_(below, 0)
