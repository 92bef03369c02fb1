"""Every loss by the `kind` that a spec gives it; the keys are those of `spec.LOSSES`, which describe them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlimg_build.spec import LossPart
from mlimg_build.training.loss.asymmetric import AsymmetricLoss
from mlimg_build.training.loss.bce import BinaryCrossEntropy
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.focal import FocalLoss
from mlimg_build.training.loss.ml_images import MLImagesLoss

__all__ = ["LOSSES", "make_loss"]

LOSSES: Mapping[str, Callable[[Any, int, int], EntryLoss]] = {
    "asymmetric": AsymmetricLoss.of,
    "bce": BinaryCrossEntropy.of,
    "focal": FocalLoss.of,
    "ml_images": MLImagesLoss.of,
}
"""Each makes a loss from its part of the spec, the number of categories, and the seed of its random draws."""


def make_loss(part: LossPart, categories: int, seed: int) -> EntryLoss:
    """Return the loss that a part of a spec describes."""
    return LOSSES[part.kind](part, categories, seed)
