"""The loss of an absent label that counts less the easier it is: p^gamma * softplus(z), with p = sigmoid(z).

Source: Lin et al., ICCV 2017 (arXiv 1708.02002), equation 4, for an absent label.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["focused", "focused_slope", "power"]


def focused(logits: Tensor, gamma: float) -> Tensor:
    """Return p^gamma * softplus(z) of each logit z, float of their shape."""
    return power(logits.sigmoid(), gamma).mul_(softplus(logits))


def focused_slope(logits: Tensor, gamma: float) -> Tensor:
    """Return the derivative of `focused`: p^gamma * (gamma * (1 - p) * softplus(z) + p)."""
    score = logits.sigmoid()
    return softplus(logits).mul_(1 - score).mul_(gamma).add_(score).mul_(power(score, gamma))


def power(base: Tensor, exponent: float) -> Tensor:
    """Return base^exponent, a new tensor; torch multiplies for 2 and 3 and takes logarithms for 4 and 6.

    >>> import torch
    >>> power(torch.tensor([0.0, 0.5, 2.0]), 4.0).tolist()
    [0.0, 0.0625, 16.0]
    """
    return base.pow(exponent / 2).square_() if exponent in {4, 6} else base.pow(exponent)
