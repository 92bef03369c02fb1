"""What the labels of all training images say of a category before an image is looked at, and what the loss makes of it.

A loss that weighs present labels against absent ones moves the optimum of a logit away from the log-odds of the
label's probability. For a weight that does not depend on the image the move is a constant, which is taken from the
bias of a finished network (logit adjustment: Menon et al. 2021, arXiv 2007.07314).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from mlimg_build.training.data.samples import Samples

__all__ = ["LabelPrior", "label_prior"]

Floats = NDArray[np.float64]

HALF = (
    0.5  # images that are added to those with and to those without a label: Jeffreys' prior of a probability
)


@dataclass(frozen=True, slots=True)
class LabelPrior:
    """Shares of the training images, float64[categories], each above 0, the first two below 1.

    `label` is the mean target among the images whose label is known, which are all where unknown counts as absent;
    `positive` is the share of all images whose label is positive in a batch (its confidence reaches the threshold),
    `known` that of those whose label is known: 1 where unknown counts as absent.
    """

    label: Floats
    positive: Floats
    known: Floats

    @property
    def log_odds(self) -> Floats:
        """The logit of `label`: the best one where nothing but the category is known."""
        odds: Floats = logit(self.label)
        return odds


def label_prior(samples: Samples, unknown: str, threshold: float) -> LabelPrior:
    """Count the labels of the usable images of a split; `unknown` is "absent" or "masked" as in a spec's loss.

    Half an image with and half an image without the label are added to each category, so that one which no image shows
    has a share above 0.
    """
    n = len(samples.dataset.categories)
    target, known, positive, images = np.zeros(n), np.zeros(n), np.zeros(n), 0
    for shard, usable in enumerate(samples.usable()):
        part = samples.split
        spans = part.spans("counted", shard).astype(np.int64)
        owner = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
        used = usable[owner]
        category, state, confidence = (
            part.column(f"counted/{name}", shard)[: len(owner)][used]
            for name in ("category", "state", "confidence")
        )
        value = np.where(state > 0, confidence, np.float32(0)).astype(
            np.float32
        )  # compared as the loss compares it
        target += np.bincount(category, value.astype(np.float64), minlength=n)
        known += np.bincount(category, minlength=n)
        positive += np.bincount(category[value >= np.float32(threshold)], minlength=n)
        images += int(usable.sum())
    if unknown != "masked":
        known[:] = images
        if threshold <= 0:  # what is not stated is positive, too
            positive[:] = images
    every = images + 2 * HALF
    return LabelPrior(
        (target + HALF) / (known + 2 * HALF), (positive + HALF) / every, (known + 2 * HALF) / every
    )
