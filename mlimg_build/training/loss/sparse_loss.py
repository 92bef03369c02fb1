"""The loss of targets of which few are stated, without a tensor of all targets.

Memory is what a loss over many categories waits for. Every entry counts as absent but for those that are stated, so the
logits are read once for the loss, and read once and their gradient written once on the way back; what lies between is
computed in blocks that stay in a processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlimg_build.training.data.targets import SparseTargets

__all__ = ["BLOCK", "SeparableLoss", "sparse_loss"]

BLOCK = 1 << 17  # entries of a block: 512 KiB in float32


class SeparableLoss(Protocol):
    """A loss of entries, each by itself, with a weight for each category."""

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, for any shape."""

    def absent(self, logits: Tensor) -> Tensor:
        """Return `entries(logits, 0)`, a new tensor."""

    def absent_slope(self, logits: Tensor) -> Tensor:
        """Return the derivative of `absent`."""

    def weights(self) -> Tensor | None:
        """Return the weight of each category; None if all are 1."""


def sparse_loss(loss: SeparableLoss, logits: Tensor, targets: SparseTargets) -> Tensor:
    """Return sum_j w_j mean_i entry(z_ij, y_ij), a scalar, of `logits`, float32 or float64[images, categories].

    The sum goes over all entries, or over the stated ones if the others are masked. An image has a category at most
    once. The gradient is that of the same formula; it has none of its own. Both are the same to the bit in every run
    with the same number of threads: no entry is written twice, so that no order matters.
    """
    result: Tensor = _SparseLoss.apply(logits, loss, targets)  # type: ignore[no-untyped-call]
    return result


class _SparseLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, loss: SeparableLoss, targets: SparseTargets) -> Tensor:
        (image, category, target), unknown = targets
        weights = loss.weights()
        weights = None if weights is None else weights.to(logits.dtype)
        with torch.enable_grad():
            at = logits.detach()[image, category].requires_grad_()
            stated = loss.entries(at, target.to(at.dtype))
            (slope,) = torch.autograd.grad(stated.sum(), at)
        stated = stated.detach()
        ctx.loss, ctx.unknown = loss, unknown
        ctx.save_for_backward(logits, weights, image, category, slope)
        if unknown == "masked":
            return (stated if weights is None else stated * weights[category]).sum() / len(logits)
        sums = []
        for rows, inside in _blocks(logits, image):
            block = loss.absent(logits[rows])
            block[image[inside] - rows.start, category[inside]] = stated[inside]
            sums.append(block.sum() if weights is None else block.mul_(weights).sum())
        return torch.stack(sums).sum() / len(logits)

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, weights, image, category, slope = ctx.saved_tensors
        share = gradient / len(logits)
        scale = share if weights is None else weights * share
        if ctx.unknown == "masked":
            result = torch.zeros_like(logits)
        else:
            result = torch.empty_like(logits)
            for rows, _ in _blocks(logits, None):
                torch.mul(ctx.loss.absent_slope(logits[rows]), scale, out=result[rows])
        result[image, category] = slope * (scale if weights is None else scale[category])
        return result, None, None


def _blocks(logits: Tensor, image: Tensor | None) -> Iterator[tuple[slice, Tensor | slice]]:
    """Yield the rows of each block, and which of the elements of `image` are of these rows; all at once on a GPU."""
    images, categories = logits.shape
    if logits.device.type != "cpu":
        yield slice(0, images), slice(None)
        return
    height = max(1, BLOCK // categories)
    bounds = [slice(first, min(first + height, images)) for first in range(0, images, height)]
    if image is None:
        inside: tuple[Tensor | slice, ...] = (slice(0, 0),) * len(bounds)
    else:
        number = image // height
        inside = number.argsort(stable=True).split(torch.bincount(number, minlength=len(bounds)).tolist())
    yield from zip(bounds, inside, strict=True)
