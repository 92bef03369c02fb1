"""The loss of targets of which few are stated, without a tensor of all targets.

Memory is what a loss over many categories waits for. All entries count as absent but for those that are stated, so the
logits are read once, and the gradient is computed with the loss and written once; what lies between is computed in
blocks, which take little room and are not fetched from far away.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlimg_build.training.data.targets import SparseLabels, SparseTargets

__all__ = ["BLOCK", "SeparableLoss", "sparse_loss"]

BLOCK = 1 << 20  # entries of a block on a CPU, 4 MiB in float32: threads wait for each other at the end of each


class SeparableLoss(Protocol):
    """A loss of entries, each by itself, with a weight for each category."""

    def entries(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each entry, for any shape."""

    def absent(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return `entries(logits, 0)` and the derivative, new tensors."""

    def weights(self) -> Tensor | None:
        """Return the weight of each category; None if all are 1."""


def sparse_loss(loss: SeparableLoss, logits: Tensor, targets: SparseTargets) -> Tensor:
    """Return sum_j w_j mean_i entry(z_ij, y_ij), a scalar, of `logits`, float32 or float64[images, categories].

    The sum goes over all entries, or over the stated ones if the others are masked. An image has a category at most
    once. Value and gradient are the same to the bit in every run with the same number of threads: no entry is written
    by two labels, so that no order matters. There is no second derivative.
    """
    result: Tensor = _SparseLoss.apply(logits, loss, targets)  # type: ignore[no-untyped-call]
    return result


class _SparseLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, loss: SeparableLoss, targets: SparseTargets) -> Tensor:
        (image, category, _), weights = targets.labels, loss.weights()
        logits = logits.detach()
        weights = None if weights is None else weights.to(logits.dtype)
        scale = (logits.new_ones(()) if weights is None else weights) / len(logits)
        stated, slopes = _stated(loss, logits, targets.labels)
        if targets.unknown == "masked":
            gradient = torch.zeros_like(logits)
            total = (stated if weights is None else stated * weights[category]).sum()
        else:
            gradient, sums = torch.empty_like(logits), []
            for rows, inside in _blocks(logits, image):
                block, slope = loss.absent(logits[rows])
                block[image[inside] - rows.start, category[inside]] = stated[inside]
                sums.append(block.sum() if weights is None else block.mul_(weights).sum())
                torch.mul(slope, scale, out=gradient[rows])
            total = torch.stack(sums).sum()
        gradient[image, category] = slopes * (scale if weights is None else scale[category])
        ctx.save_for_backward(gradient)
        return total / len(logits)

    @staticmethod
    @once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, share: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        if share.device.type == "cpu" and share == 1:  # a GPU would have to be waited for
            return gradient, None, None
        return gradient * share, None, None


def _stated(loss: SeparableLoss, logits: Tensor, labels: SparseLabels) -> tuple[Tensor, Tensor]:
    """Return the loss of each stated entry and its derivative, float[entries]."""
    with torch.enable_grad():
        at = logits[labels.image, labels.category].requires_grad_()
        values = loss.entries(at, labels.target.to(at.dtype))
        (slopes,) = torch.autograd.grad(values.sum(), at)
    return values.detach(), slopes


def _blocks(logits: Tensor, image: Tensor) -> Iterator[tuple[slice, Tensor | slice]]:
    """Yield the rows of each block, and which of the elements of `image` are of these rows; all at once on a GPU."""
    images, categories = logits.shape
    if logits.device.type != "cpu":
        yield slice(0, images), slice(None)
        return
    height = max(1, BLOCK // categories)
    bounds = [slice(first, min(first + height, images)) for first in range(0, images, height)]
    number = image // height
    inside = number.argsort(stable=True).split(torch.bincount(number, minlength=len(bounds)).tolist())
    yield from zip(bounds, inside, strict=True)
