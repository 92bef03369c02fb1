"""The learning rate over the steps of a run."""

from __future__ import annotations

import math

from mlimg_build.spec import LearningRate

__all__ = ["rate_at"]


def rate_at(part: LearningRate, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Return the learning rate of a step, counted from 0.

    In the warm-up it is constant over an epoch and grows by `warm_up_factor` from one to the next, towards `base`.
    After it, "steps" multiplies by `decay_factor` every `decay_every` epochs; "cosine" falls step by step to 0.

    Source: Wu et al. 2019, section on training (0.01 × 1.297^e for 8 epochs to 0.08, then × 0.1 every 25 epochs);
    Loshchilov and Hutter 2017, "SGDR", equation 5, for the cosine.

    >>> part = LearningRate()
    >>> [round(rate_at(part, epoch * 10, 10, 60), 4) for epoch in (0, 1, 7, 8, 32, 33, 58)]
    [0.01, 0.013, 0.0617, 0.08, 0.08, 0.008, 0.0008]
    """
    epoch = step // steps_per_epoch
    if epoch < part.warm_up_epochs:
        return part.base * part.warm_up_factor ** (epoch - part.warm_up_epochs)
    if part.kind == "steps":
        return part.base * part.decay_factor ** ((epoch - part.warm_up_epochs) // part.decay_every)
    first = part.warm_up_epochs * steps_per_epoch
    share = (step - first) / max(epochs * steps_per_epoch - first, 1)
    return part.base * (1 + math.cos(math.pi * share)) / 2
