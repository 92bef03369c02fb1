"""What a network learns: any number of labels with three states, or one of several classes."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from mlimg_build.spec import LossPart
from mlimg_build.training.data.targets import SparseLabels, dense
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.losses import make_loss

__all__ = ["MultiLabel", "Objective", "SingleLabel", "multi_label"]


class Objective(Protocol):
    """A loss, and how the labels of a batch become what it compares with."""

    loss: nn.Module
    needs_labels: bool  # a batch in which nothing is known teaches nothing

    def targets(self, labels: SparseLabels, images: int) -> Tensor:
        """The labels of a batch, one row an image, on the device of the labels."""

    def observe(self, targets: Tensor, step: int) -> None:
        """Takes in the labels of the whole batch before the loss of its parts is asked for."""


class MultiLabel:
    """Sigmoid outputs; targets are float32[images, categories] with -1 where `unknown` is "masked"."""

    def __init__(self, loss: EntryLoss, categories: int, unknown: str) -> None:
        self.loss: nn.Module = loss
        self.needs_labels = unknown == "masked"
        self._observe = loss.observe
        self._categories = categories
        self._unknown = unknown

    def targets(self, labels: SparseLabels, images: int) -> Tensor:
        """float32[images, categories]."""
        return dense(labels, images, self._categories, self._unknown)

    def observe(self, targets: Tensor, step: int) -> None:
        """Statuses and run lengths of the loss move on by a step."""
        self._observe(targets, step)


class SingleLabel:
    """Softmax outputs; targets are int64[images], numbers of classes."""

    needs_labels = False

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.loss: nn.Module = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def targets(self, labels: SparseLabels, images: int) -> Tensor:
        """int64[images]: every image has exactly one label."""
        target = torch.empty(images, dtype=torch.int64, device=labels.category.device)
        target[labels.image] = labels.category
        return target

    def observe(self, targets: Tensor, step: int) -> None:
        """Nothing follows from the batch as a whole."""


def multi_label(part: LossPart, categories: int, seed: int) -> MultiLabel:
    """The objective that a spec's `loss` describes."""
    return MultiLabel(make_loss(part, categories, seed), categories, part.unknown)
