"""The base of the losses over three label states: entries are summed over categories, averaged over images."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlimg_build.training.data.targets import MASKED, SparseTargets, Targets
from mlimg_build.training.loss.prior import LabelPrior
from mlimg_build.training.loss.sparse_loss import sparse_loss

__all__ = ["EntryLoss"]

LOGITS = (
    -9.0,
    7.0,
)  # between which a best logit is looked for: outside, a slope in float32 is too small to learn by
HALVINGS = 60


class EntryLoss(nn.Module):
    """`loss(logits, targets)` after `loss.observe(targets, step)`: sum_j w_j mean_i [y_ij != -1] entry(z_ij, y_ij).

    w_j is `weights()`, 1 by default. Targets y are a tensor, float[images, categories], or the same as
    `SparseTargets`: the loss is equal, but takes a fraction of the time and the memory where few labels are known.
    A loss needs `entries` alone; `absent` makes it fast. Its persistent buffers are part of every checkpoint.
    """

    def observe(self, targets: Targets, step: int) -> None:
        """Update the loss from the labels of the whole batch, once per step; does nothing by default."""

    def prior_shift(self, prior: LabelPrior, batch_size: int) -> NDArray[np.float64] | None:
        """Return by how much the best logit of each category exceeds the log-odds of its label; float64[categories].

        None if the two do not differ by a constant, so that no bias corrects it: as for losses that focus.
        """
        return None

    def prior_logits(self, prior: LabelPrior, batch_size: int) -> NDArray[np.float64]:
        """Return the logit of least expected loss where only the share of each category is known; float64[categories].

        Without `prior_shift` it is found by halving the interval `LOGITS`: the expected loss of a share falls up to one
        logit and rises from there, or falls without end, as that of a frequent category with a margin does.
        """
        shift = self.prior_shift(prior, batch_size)
        if shift is not None:
            return prior.log_odds + shift
        share = torch.from_numpy(prior.label)[None]
        low, high = (torch.full_like(share, bound) for bound in LOGITS)
        for _ in range(HALVINGS):
            middle = ((low + high) / 2).requires_grad_()
            present, absent = (self.entries(middle, torch.full_like(share, state)) for state in (1, 0))
            (slope,) = torch.autograd.grad((share * present + (1 - share) * absent).sum(), middle)
            rises = slope > 0
            low, high = torch.where(rises, low, middle), torch.where(rises, middle, high)
        best: NDArray[np.float64] = middle.detach()[0].numpy()
        return best

    @abstractmethod
    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry by itself, float of the shape of `logits`, which is any.

        `targets` has the same shape; it is 0 to 1, or masked, where the result is not used.
        """

    def weights(self) -> Tensor | None:
        """Return the weight of each category, float[categories]; None if all are 1."""
        return None

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return `entries(logits, 0)` and the derivative, float of the shape of `logits`, new tensors.

        A loss that computes both in few passes is faster.
        """
        with torch.enable_grad():
            at = logits.detach().requires_grad_()
            values = self.entries(at, torch.zeros_like(at))
            (slopes,) = torch.autograd.grad(values.sum(), at)
        return values.detach(), slopes

    def forward(self, logits: Tensor, targets: Targets) -> Tensor:
        """Return the loss of images of the observed batch, a scalar; `logits` are float[images, categories].

        It is computed in float32, or in float64 for such logits. The loss of a batch is the mean of the
        losses of its parts, weighted by their numbers of images.
        """
        wide = logits if logits.dtype == torch.float64 else logits.float()
        if isinstance(targets, SparseTargets):
            return sparse_loss(self, wide, targets)
        entries = self.entries(wide, targets.to(wide.dtype))
        means = torch.where(targets != MASKED, entries, 0).mean(dim=0)
        weights = self.weights()
        return (means if weights is None else means * weights.to(means.dtype)).sum()
