"""The loss of Tencent ML-Images for imbalanced labels.

Source: Wu et al., IEEE Access 2019 (arXiv 1901.01703), section on the loss; "tencent-code" follows what the published
training script does where it differs.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from mlimg_build.spec import MLImagesLossPart
from mlimg_build.training.data.shuffle_order import splitmix64
from mlimg_build.training.data.targets import MASKED, SparseTargets, Targets
from mlimg_build.training.devices import send
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.prior import LabelPrior

__all__ = ["MLImagesLoss", "loss_weights"]

LEAST = 1e-6  # weight of an absent label: without negative sampling a category alone in its batch has none
LONGEST = 10  # run length from which `loss_weights` are at their floor for either status
KEPT = int.from_bytes(b"kept")  # the tag of the stream that says which negative categories count


def loss_weights(run: Tensor, positive: Tensor, compat: Literal["paper", "tencent-code"] = "paper") -> Tensor:
    """Return the weight of each category, in the dtype of `run`.

    `run` is the number of consecutive batches, this one included, in which the category kept its status; `positive`
    says which status that is. With p = 0.01 for a positive and 8 for an all-negative status the weight is
    log10(10 / (p + run)), at least 0.01. The published script has the floor 0.001 for the all-negative status, under
    weights of at most 0.01.

    >>> run, positive = torch.tensor([1.0, 2.0, 1.0, 2.0]), torch.tensor([True, True, False, False])
    >>> [round(weight, 5) for weight in loss_weights(run, positive).tolist()]
    [0.99568, 0.6968, 0.04576, 0.01]
    """
    raw = 1 - torch.log10(run + torch.where(positive, 0.01, 8.0).to(run.dtype))
    floor = torch.full_like(raw, 0.01)
    if compat == "tencent-code":
        floor = torch.where(positive, floor, torch.full_like(raw, 0.001))
    return torch.where(raw > 0.01, raw, floor)


class MLImagesLoss(EntryLoss):
    """Weighted cross-entropy over a batch: `loss(logits, targets)` after `loss.observe(targets, step)`.

    loss = sum_j weight_j * kept_j * mean_i [y_ij != -1] * (12 * y_ij * softplus(-z_ij) + (1 - y_ij) * softplus(z_ij))

    A category is positive in a batch if some y_ij is at least `positive_threshold`. `weight_j` is that of
    `loss_weights` (1 without `adaptive_decay`); `kept_j` is 1 for a positive category, else 1 with probability
    `negative_sampling`, drawn from `seed` and the step alone. The run lengths `positive_run` and `negative_run`
    (buffers, float32[categories]) are the only state that belongs in the checkpoint.

    A category of which nothing is known in a batch (all its entries are masked) keeps its run lengths.

    Under torch.distributed a category is positive, or known, if it is on any rank, so that the ranks keep equal states.
    In the mode "tencent-code" the all-negative run grows only in batches in which the category was kept, and a category
    of which nothing is known counts as negative.
    """

    positive_run: Tensor
    negative_run: Tensor
    coefficient: Tensor

    def __init__(
        self,
        categories: int,
        *,
        positive_weight: float = 12.0,
        positive_threshold: float = 0.7,
        adaptive_decay: bool = True,
        negative_sampling: float = 0.1,
        compat: Literal["paper", "tencent-code"] = "paper",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.positive_weight = positive_weight
        self.positive_threshold = positive_threshold
        self.adaptive_decay = adaptive_decay
        self.negative_sampling = negative_sampling
        self.compat = compat
        self.seed = seed
        self.register_buffer("positive_run", torch.zeros(categories))
        self.register_buffer("negative_run", torch.zeros(categories))
        self.register_buffer("coefficient", torch.ones(categories), persistent=False)

    @classmethod
    def of(cls, part: MLImagesLossPart, categories: int, seed: int) -> MLImagesLoss:
        """Return the loss that a spec describes."""
        return cls(
            categories,
            positive_weight=part.positive_weight,
            positive_threshold=part.positive_threshold,
            adaptive_decay=part.adaptive_decay,
            negative_sampling=part.negative_sampling,
            compat=part.compat,
            seed=seed,
        )

    def prior_shift(self, prior: LabelPrior, batch_size: int) -> NDArray[np.float64]:
        """Return the logarithm of the expected weight of a present label over that of an absent one.

        A present label has `positive_weight` times the weight of its category, in a batch that has it. An absent label
        has the weight of a category with a positive if one of the other images has it, else that of one without, with
        the probability `negative_sampling`. With images drawn independently, a run of equal status has a geometric
        length, not counting batches that know nothing of it; r is `loss_weights`, s the share of positive images, B the
        batch:

        shift = ln(w * E[r+]) - ln(P * E[r+] + (1 - P) * q * E[r-]), P = 1 - (1 - s)^(B - 1)

        It is ln w for a category that every batch has.
        """
        absent = np.log1p(-prior.positive)
        beside, batch = -np.expm1((batch_size - 1) * absent), -np.expm1(batch_size * absent)
        if self.compat == "tencent-code":  # a run of the negative status counts the batches that were kept
            lasting, ended = batch, (1 - batch) * self.negative_sampling
        else:
            ended = (1 - batch) - (1 - prior.known) ** batch_size
            lasting = batch / (batch + ended)
        stays = ended / (batch + ended)
        present, without = self._expected_weights(lasting, True), self._expected_weights(stays, False)
        weight = beside * present + (1 - beside) * self.negative_sampling * without
        shift: NDArray[np.float64] = np.log(self.positive_weight * present) - np.log(
            np.maximum(weight, LEAST)
        )
        return shift

    def _expected_weights(self, again: NDArray[np.float64], positive: bool) -> NDArray[np.float64]:
        """Return the mean of `loss_weights` over runs that go on with the probability `again`; float64[categories]."""
        if not self.adaptive_decay:
            return np.ones_like(again)
        run = torch.arange(1, LONGEST + 1, dtype=torch.float64)
        weights = loss_weights(run, torch.full_like(run, positive, dtype=torch.bool), self.compat).numpy()
        length = again[:, None] ** np.arange(LONGEST)
        length[:, :-1] *= 1 - again[:, None]  # the last has all longer runs, whose weight is the floor
        mean: NDArray[np.float64] = length @ weights
        return mean

    @torch.no_grad()
    def observe(self, targets: Targets, step: int) -> None:
        """Update the run lengths and the weights of categories from the labels of the whole batch, once per step.

        `targets` are of all images of the step on this rank: float[images, categories] with -1 for what is masked, or
        `SparseTargets`.
        """
        positive, known = self._status(targets)
        if dist.is_available() and dist.is_initialized():
            shared = torch.stack([positive, known]).to(torch.uint8)
            dist.all_reduce(shared, op=dist.ReduceOp.MAX)
            positive, known = shared.bool()
        drawn = torch.rand(len(positive), generator=_generator(self.seed, step)) <= self.negative_sampling
        kept = positive | send(drawn, positive.device)
        if self.compat == "tencent-code":
            grows, ends = ~positive & kept, ~positive
        else:
            grows = ends = ~positive & known
        self.positive_run.copy_(torch.where(ends, 0, self.positive_run + positive))
        self.negative_run.copy_(torch.where(positive, 0, self.negative_run + grows))
        if self.adaptive_decay:
            run = torch.where(positive, self.positive_run, self.negative_run)
            self.coefficient.copy_(loss_weights(run, positive, self.compat) * kept)
        else:
            self.coefficient.copy_(kept)

    def _status(self, targets: Targets) -> tuple[Tensor, Tensor]:
        """Return which categories are positive, and of which anything is known; both bool[categories]."""
        if not isinstance(targets, SparseTargets):
            return (targets >= self.positive_threshold).any(dim=0), (targets != MASKED).any(dim=0)
        (_, category, target), unknown = targets
        stated = torch.stack([target >= self.positive_threshold, torch.ones_like(target, dtype=torch.bool)])
        counts = torch.zeros(2, len(self.coefficient), device=target.device)
        positive, known = (
            counts.index_add_(1, category, stated.float()) > 0
        )  # sums of ones: any order gives the same
        if unknown == "absent":
            positive |= self.positive_threshold <= 0
            known = torch.ones_like(known)
        return positive, known

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the cross-entropy of each entry, not yet weighted by its category; float of the shape of `logits`."""
        return self.positive_weight * targets * softplus(-logits) + (1 - targets) * softplus(logits)

    def weights(self) -> Tensor:
        """Return weight_j * kept_j of the observed batch, float32[categories]."""
        return self.coefficient

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return softplus(z) and its derivative, sigmoid(z), float of the shape of `logits`."""
        return softplus(logits), logits.sigmoid()


def _generator(seed: int, step: int) -> torch.Generator:
    """Return the stream of a step; the tag keeps it apart from that of the image at the same position."""
    generator = torch.Generator()
    generator.manual_seed(int(splitmix64(seed, KEPT, step)) >> 1)
    return generator
