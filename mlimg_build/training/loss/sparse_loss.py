"""The loss of targets of which few are stated, without a tensor of all targets.

Memory is what a loss over many categories waits for. All entries count as absent but for those that are stated, so the
logits are read once, and the gradient is computed with the loss and written once; what lies between is computed in
blocks that stay in a processor's cache.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mlimg_build.training.data.targets import SparseLabels, SparseTargets

__all__ = ["BLOCK", "SeparableLoss", "sparse_loss"]

BLOCK = 1 << 15
"""Entries of a block on a CPU. Torch computes no more than these in the thread that asks for it. More would be computed
by all its threads, which wait for each other after every operation: milliseconds each where other work takes a core."""


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
    once. Value and gradient are the same to the bit in every run, with any number of threads: no entry is written by
    two labels, and blocks are added in their order. There is no second derivative.
    """
    result: Tensor = _SparseLoss.apply(logits, loss, targets)
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
            gradient = torch.empty_like(logits)
            total = _absent(loss, logits, targets.labels, stated, weights, scale, gradient)
        gradient[image, category] = slopes * (scale if weights is None else scale[category])
        ctx.save_for_backward(gradient)
        return total / len(logits)

    @staticmethod
    @once_differentiable
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


def _absent(
    loss: SeparableLoss,
    logits: Tensor,
    labels: SparseLabels,
    stated: Tensor,
    weights: Tensor | None,
    scale: Tensor,
    gradient: Tensor,
) -> Tensor:
    """Return the weighted sum of all entries, those of `labels` being `stated`; write the gradient of absent ones."""
    images, categories = logits.shape
    cpu = logits.device.type == "cpu"
    height = max(1, BLOCK // categories) if cpu else images
    count = -(-images // height)
    by_block = [(labels.image % height, labels.category, stated)]
    if count > 1:
        number = labels.image // height
        order, sizes = number.argsort(stable=True), torch.bincount(number, minlength=count).tolist()
        by_block = list(zip(*(torch.split(one[order], sizes) for one in by_block[0]), strict=True))
    blocks = zip(torch.split(logits, height), torch.split(gradient, height), by_block, strict=True)
    waiting = iter(list(enumerate(blocks)))  # threads take the next one in turn
    sums = [stated] * count

    def work() -> None:
        with torch.no_grad():
            for place, (block, result, (image, category, values)) in waiting:
                entries, slopes = loss.absent(block)
                entries[image, category] = values
                sums[place] = entries.sum() if weights is None else entries.mul_(weights).sum()
                torch.mul(slopes, scale, out=result)

    threads = min(torch.get_num_threads(), count)
    if threads == 1 or not cpu:
        work()
    else:
        with ThreadPoolExecutor(threads) as pool:
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
    return torch.stack(sums).sum()
