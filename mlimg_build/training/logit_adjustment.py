"""Scores that are probabilities: what a loss adds to the log-odds of a label is taken from the finished bias."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from mlimg_build.atomic import replace_file
from mlimg_build.dataset import Dataset
from mlimg_build.errors import Problem
from mlimg_build.spec import MLImagesLossPart, Training
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.loss.entry_loss import EntryLoss
from mlimg_build.training.loss.losses import make_loss
from mlimg_build.training.loss.prior import LabelPrior, label_prior
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.model_files import Card, load_model, save_model, weights_digest

__all__ = ["Calibration", "begin_at_prior", "trained_digest", "wants_adjustment", "without_bias"]

log = logging.getLogger(__name__)
TRAINED = "trained_weights"  # the digest of the weights before their bias was adjusted
BIAS = "head_bias.safetensors"  # of a run: the trained bias, which the model's has lost
THRESHOLD = 0.7  # confidence of a positive label where a loss has no threshold of its own


class Calibration:
    """The loss of a run and the shares of its categories, which are counted when they are first needed."""

    def __init__(self, dataset: Dataset, part: Training) -> None:
        self.dataset, self.part = dataset, part
        self.loss: EntryLoss = make_loss(part.loss, len(dataset.categories), part.seed)
        self._prior: LabelPrior | None = None

    @property
    def prior(self) -> LabelPrior:
        if self._prior is None:
            threshold = getattr(self.part.loss, "positive_threshold", THRESHOLD)
            self._prior = label_prior(Samples(self.dataset, "train"), self.part.loss.unknown, threshold)
        return self._prior

    def adjustment(self) -> Tensor | None:
        """Return what is subtracted from each bias, float64[categories]; None if the spec or the loss asks for none."""
        if not wants_adjustment(self.part):
            return None
        shift = self.loss.prior_shift(self.prior, self.part.batch_size)
        return None if shift is None else torch.from_numpy(np.round(shift, 6))

    def shift_of(self, backbone: Backbone) -> Tensor | None:
        """Return `adjustment`, or None for a network without a bias to take it from."""
        return None if backbone.head_bias() is None else self.adjustment()

    def save(self, folder: Path, backbone: Backbone, card: Card) -> Card:
        """Write the network with its bias adjusted, and its trained bias beside it; return the card."""
        shift, bias = self.shift_of(backbone), backbone.head_bias()
        told = {**card.training, "logit_adjustment": self.part.logit_adjustment}
        digests = {name: value for name, value in card.digests.items() if name != TRAINED}
        card = replace(card, training=told, digests=digests)
        if shift is None or bias is None:
            without: tuple[float, ...] | None = () if wants_adjustment(self.part) else None
            return save_model(folder, backbone.module, replace(card, logit_adjustment=without))
        folder.mkdir(parents=True, exist_ok=True)
        digests[TRAINED] = weights_digest(backbone.module)
        replace_file(folder / BIAS, safetensors.torch.save({"bias": bias.detach().cpu().contiguous()}))
        with backbone.shifted(shift):
            return save_model(folder, backbone.module, replace(card, logit_adjustment=tuple(shift.tolist())))

    def again(self, folder: Path) -> Card:
        """Write a finished network anew with the adjustment that the spec asks for now; return its card."""
        backbone, card = load_model(folder)
        bias = backbone.head_bias()
        if bias is not None and card.logit_adjustment:
            with torch.no_grad():
                bias.copy_(_trained(folder, bias, card.logit_adjustment))
        return self.save(folder, backbone, card)


def _trained(folder: Path, bias: Tensor, adjustment: tuple[float, ...]) -> Tensor:
    """Return the trained bias; where its file is gone or damaged, that of the model and what was subtracted."""
    try:
        trained = safetensors.torch.load_file(folder / BIAS)["bias"]
        if trained.shape == bias.shape and trained.isfinite().all():
            return trained
    except Exception:  # safetensors has its own exception for each kind of damage
        log.warning("%s cannot be read; the trained bias is computed from the model's", folder / BIAS)
    return (bias.double() + torch.tensor(adjustment, dtype=torch.float64)).to(bias.dtype)


def trained_digest(card: Card) -> str:
    """Return the digest of the weights as they were trained: what follows from them does not follow the adjustment."""
    return card.digests.get(TRAINED, card.digests["weights"])


def wants_adjustment(part: Training) -> bool:
    """Return whether the bias of a finished network is adjusted: of the losses, one weighs present labels more."""
    return part.logit_adjustment and isinstance(part.loss, MLImagesLossPart)


def begin_at_prior(backbone: Backbone, calibration: Calibration) -> str:
    """Set the bias of the last layer to the best logits for shares alone; return its name.

    Raises:
        ValueError: if the network has no such bias.
    """
    bias = backbone.head_bias()
    if bias is None:
        raise ValueError(f"{backbone.architecture} has no bias of its logits")
    best = calibration.loss.prior_logits(calibration.prior, calibration.part.batch_size)
    with torch.no_grad():
        bias.copy_(torch.from_numpy(best))
    return next(name for name, parameter in backbone.module.named_parameters() if parameter is bias)


def without_bias(backbone: Backbone) -> Problem:
    """Return the warning about a network whose last layer has no bias, or several, so that none is set."""
    message = (
        f"{backbone.architecture} has no single bias of its logits, so its scores stay as they are trained"
    )
    hint = "write `head_bias: random` and `logit_adjustment: false`; scores are then in order, and no probabilities"
    return Problem("head-without-bias", message, hint=hint, severity="warning")
