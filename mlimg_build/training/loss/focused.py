"""The loss of an absent label that counts less the easier it is: p^gamma * softplus(z), with p = sigmoid(z).

Source: Lin et al., ICCV 2017 (arXiv 1708.02002), equation 4, for an absent label.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["focused", "power"]


def focused(logits: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return p^gamma * softplus(z) of each logit z and its derivative, float of the shape of `logits`, new tensors.

    The derivative is p^gamma * p + gamma * (1 - p) * p^gamma * softplus(z).
    """
    score = logits.sigmoid()
    factor, rest = power(score, gamma), 1 - score
    values = softplus(logits).mul_(factor)
    return values, score.mul_(factor).addcmul_(values, rest, value=gamma)


def power(base: Tensor, exponent: float) -> Tensor:
    """Return base^exponent, a new tensor; torch multiplies for 2 and 3 and takes logarithms for 4 and 6.

    >>> import torch
    >>> power(torch.tensor([0.0, 0.5, 2.0]), 4.0).tolist()
    [0.0, 0.0625, 16.0]
    """
    return base.pow(exponent / 2).square_() if exponent in {4, 6} else base.pow(exponent)
