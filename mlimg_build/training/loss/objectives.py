"""Training objectives: any number of labels with three states, or one of several classes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from mlimg_build.spec import LossPart
from mlimg_build.training.data.targets import SparseLabels, SparseTargets, Targets
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.losses import make_loss

__all__ = ["MultiLabel", "Objective", "SingleLabel", "multi_label"]


class Objective(Protocol):
    """A loss, and how the labels of a batch become its targets."""

    loss: nn.Module
    needs_labels: bool  # whether a batch without a known label is an error

    def targets(self, labels: SparseLabels, images: int) -> Targets:
        """Return the targets of a batch or of a part of it, on the device of the labels."""

    def observe(self, targets: Targets, step: int) -> None:
        """Update the loss from the targets of the whole batch, before the losses of its parts are computed."""


class MultiLabel:
    """Sigmoid outputs; targets are the known labels and what all others count as, `unknown`: "masked" or "absent"."""

    def __init__(self, loss: EntryLoss, unknown: str) -> None:
        self.loss: nn.Module = loss
        self.needs_labels = unknown == "masked"
        self._observe = loss.observe
        self._unknown = unknown

    def targets(self, labels: SparseLabels, images: int) -> SparseTargets:
        """Return the labels with what the others count as; nothing is copied."""
        return SparseTargets(labels, self._unknown)

    def observe(self, targets: Targets, step: int) -> None:
        """Update the loss from the targets of the whole batch, once per step."""
        self._observe(targets, step)


class SingleLabel:
    """Softmax outputs; targets are int64[images], numbers of classes."""

    needs_labels = False

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.loss: nn.Module = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def targets(self, labels: SparseLabels, images: int) -> Tensor:
        """Return int64[images]; every image has exactly one label."""
        target = torch.empty(images, dtype=torch.int64, device=labels.category.device)
        target[labels.image] = labels.category
        return target

    def observe(self, targets: Targets, step: int) -> None:
        """Do nothing: the loss has no state."""


def multi_label(part: LossPart, categories: int, seed: int) -> MultiLabel:
    """Return the objective that a spec's `loss` describes."""
    return MultiLabel(make_loss(part, categories, seed), part.unknown)
