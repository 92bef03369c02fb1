"""Metrics of scores: average precision by category, precision and recall at k, and violations of the hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "AveragePrecision",
    "Inversions",
    "average_precision",
    "bands",
    "depths",
    "implied_pairs",
    "mean",
    "precision_recall",
]

BLOCK = 256  # categories read at a time
AT_ONCE = 64  # of them ranked at a time
PAIRS = 8192  # (category, ancestor) pairs compared at a time
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """`value` and `baseline`, float64[categories]: NaN where a category lacks a positive or a negative entry.

    `baseline` is the average precision when every image has the same score, such as the frequency of the category: the
    share of positives among the entries.
    """

    value: NDArray[np.float64]
    baseline: NDArray[np.float64]


def average_precision(
    logits: NDArray[np.float32],
    targets: Callable[[slice], NDArray[np.int8]],
    device: torch.device | str = "cpu",
) -> AveragePrecision:
    """Compute the average precision of each category over its entries, `AT_ONCE` categories at a time on `device`.

    `logits` is float32[images, categories] and may be a memory map; `targets` gives int8[images, chosen categories] for
    a slice of categories: 1 positive, 0 negative, -1 no entry. It is the sum over thresholds of the precision times the
    gain in recall, as scikit-learn and torchmetrics have it; entries of one score are above a threshold together.
    """
    n = logits.shape[1]
    value, baseline = np.full(n, np.nan), np.full(n, np.nan)
    for start in range(0, n, BLOCK):
        block = slice(start, min(start + BLOCK, n))
        target = targets(block)
        positives, negatives = (target == 1).sum(axis=0), (target == 0).sum(axis=0)
        chosen = np.flatnonzero((positives > 0) & (negatives > 0))
        if not len(chosen):
            continue
        ranked, truth = (np.ascontiguousarray(one[:, chosen].T) for one in (logits[:, block], target))
        for first in range(0, len(chosen), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            found = _precision_of(*(torch.from_numpy(one[part]).to(device) for one in (ranked, truth)))
            value[start + chosen[part]] = found.cpu().numpy()
        baseline[start + chosen] = positives[chosen] / (positives + negatives)[chosen]
    return AveragePrecision(value, baseline)


def _precision_of(scores: Tensor, truth: Tensor) -> Tensor:
    """Return the average precision of each row, float64[rows], each with a positive; both are [rows, entries]."""
    scores, order = torch.where(truth == UNKNOWN, -torch.inf, scores).sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    hits = (truth == 1).cumsum(dim=1)
    known = (truth != UNKNOWN).cumsum(dim=1)
    ends = torch.ones_like(truth, dtype=torch.bool)
    ends[:, :-1] = scores[:, :-1] != scores[:, 1:]
    before = torch.where(ends, hits, 0).cummax(dim=1).values[:, :-1]
    gained = hits.clone()
    gained[:, 1:] -= before
    share = torch.where(ends, gained * (hits / known.clamp(min=1).double()), 0)
    return share.sum(dim=1) / hits[:, -1]


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of the values that are not NaN; None if there are none.

    >>> mean(np.array([0.5, np.nan, 1.0])), mean(np.array([np.nan]))
    (0.75, None)
    """
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def bands(counts: Sequence[int] | NDArray[np.int64]) -> list[tuple[int, int | None, NDArray[np.int64]]]:
    """Group categories by their number of training images, one band per power of ten: (least, most, category indices).

    The last band has no upper end; bands without a category are left out. Categories without an image have their own
    band.

    >>> [(low, high, members.tolist()) for low, high, members in bands([0, 3, 12, 40, 9])]
    [(0, 0, [0]), (1, 9, [1, 4]), (10, None, [2, 3])]
    """
    values = np.asarray(counts, np.int64)
    top = int(values.max(initial=0))
    edges = [(0, 0)]
    low = 1
    while low <= top:
        edges.append((low, low * 10 - 1))
        low *= 10
    found: list[tuple[int, int | None, NDArray[np.int64]]] = []
    for first, last in edges:
        members = np.flatnonzero((values >= first) & (values <= last))
        if len(members):
            end = last if (first, last) != edges[-1] or first == 0 else None
            found.append((first, end, members))
    return found


def precision_recall(
    logits: Tensor, positive: Tensor, ks: Sequence[int]
) -> dict[int, tuple[float, float, int]]:
    """Return sums over images of precision and recall among the k highest scores: k → (precision, recall, images).

    `logits` is float[images, categories], `positive` bool of that shape; images without a positive are left out, and k
    is capped at the number of categories.
    """
    counted = positive.any(dim=1)
    logits, positive = logits[counted], positive[counted]
    most = min(max(ks), logits.shape[1])
    hits = positive.gather(1, logits.topk(most, dim=1).indices).cumsum(dim=1)
    every = positive.sum(dim=1)
    found = {}
    for k in ks:
        hit = hits[:, min(k, most) - 1].double()
        found[k] = float((hit / min(k, most)).sum()), float((hit / every).sum()), len(logits)
    return found


def implied_pairs(parents: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return every (category, ancestor) pair of a hierarchy without cycles: int64[pairs, 2].

    >>> implied_pairs([[1], [2], []]).tolist()
    [[0, 1], [0, 2], [1, 2]]
    """
    above: list[set[int] | None] = [None] * len(parents)
    for start in range(len(parents)):
        stack = [start]
        while stack:
            node = stack[-1]
            waiting = [parent for parent in parents[node] if above[parent] is None]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            above[node] = set(parents[node]).union(*(above[parent] or () for parent in parents[node]))
    pairs = [(node, ancestor) for node, found in enumerate(above) for ancestor in sorted(found or ())]
    return np.array(pairs, np.int64).reshape(-1, 2)


def depths(parents: Sequence[Sequence[int]]) -> list[int]:
    """Return the length of the longest path from each category up to a root, in steps.

    >>> depths([[1], [2], [], [2, 1]])
    [2, 1, 0, 2]
    """
    found = [0] * len(parents)
    pairs = implied_pairs(parents)
    above = np.bincount(pairs[:, 0], minlength=len(parents))
    for node in np.argsort(above, kind="stable").tolist():  # an ancestor has fewer ancestors
        found[node] = 1 + max((found[parent] for parent in parents[node]), default=-1)
    return found


class Inversions:
    """Counts how often an ancestor scores below its descendant, over images and pairs."""

    def __init__(self, pairs: NDArray[np.int64], device: torch.device | str = "cpu") -> None:
        self._low = torch.from_numpy(pairs[:, 0].copy()).to(device)
        self._high = torch.from_numpy(pairs[:, 1].copy()).to(device)
        self.compared = self.inverted = self.confident = self.confident_inverted = 0

    def add(self, logits: Tensor) -> None:
        """Count the inversions in the logits of some images, float[images, categories], on the device of the pairs."""
        by_category = logits.T.contiguous()  # so that the logits of a category are read in one piece
        for start in range(0, len(self._low), PAIRS):
            low, high = (
                by_category.index_select(0, one[start : start + PAIRS]) for one in (self._low, self._high)
            )
            below = high < low
            sure = low >= 0  # a score of at least 0.5
            self.compared += below.numel()
            self.inverted += int(below.count_nonzero())
            self.confident += int(sure.count_nonzero())
            self.confident_inverted += int((below & sure).count_nonzero())

    def shares(self) -> dict[str, float | int | None]:
        """Return `pairs`, the share of comparisons inverted, and the same where the descendant scores at least 0.5."""
        return {
            "pairs": len(self._low),
            "share": self.inverted / self.compared if self.compared else None,
            "share_confident": self.confident_inverted / self.confident if self.confident else None,
        }
