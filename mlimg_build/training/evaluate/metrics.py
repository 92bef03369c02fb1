"""Metrics of scores: average precision by category, precision and recall at k, and violations of the hierarchy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
    "by_category",
    "depths",
    "implied_pairs",
    "mean",
    "precision_recall",
    "reached",
]

BLOCK = 256  # categories read at a time
PAIRS = 4096  # (category, ancestor) pairs compared at a time on a CPU, whose cache holds 64 images of them
PAIRS_OF_GPU = 8192  # on a GPU, which is waited for after each part
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
    logits: NDArray[np.float32], targets: Callable[[slice], NDArray[np.int8]]
) -> AveragePrecision:
    """Compute the average precision of each category over its entries.

    `logits` is float32[images, categories] and may be a memory map; `targets` gives int8[images, chosen categories] for
    a slice of categories: 1 positive, 0 negative, -1 no entry. It is the sum over thresholds of the precision times the
    gain in recall, as scikit-learn and torchmetrics have it; entries of one score are above a threshold together. So it
    is the mean over positives of the precision at their own scores, for which entries are sorted without their order.
    """
    n = logits.shape[1]
    value, baseline = np.full(n, np.nan), np.full(n, np.nan)
    for number, known, positive in by_category(logits, targets):
        if 0 < len(positive) < len(known):
            hits, given = reached(np.sort(positive), np.sort(known))
            value[number] = (hits / given).mean()
            baseline[number] = len(positive) / len(known)
    return AveragePrecision(value, baseline)


def by_category(
    logits: NDArray[np.float32], targets: Callable[[slice], NDArray[np.int8]]
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield each category with an entry: its number, the logits of its entries, and those of its positives.

    Arguments are those of `average_precision`; categories are read `BLOCK` at a time.
    """
    for start in range(0, logits.shape[1], BLOCK):
        block = slice(start, min(start + BLOCK, logits.shape[1]))
        target = np.ascontiguousarray(targets(block).T)
        told = np.flatnonzero((target != UNKNOWN).any(axis=1))
        columns = np.ascontiguousarray(logits[:, block].T) if len(told) else ()
        for i in told:
            yield start + int(i), columns[i][target[i] != UNKNOWN], columns[i][target[i] == 1]


def reached(
    positive: NDArray[np.floating], known: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return how many positives, and how many entries, score at least as much as each positive: int64[positives] both.

    `positive` and `known`, which holds the positives too, are sorted ascendingly.

    >>> hits, given = reached(np.array([1.0, 3.0]), np.array([0.0, 1.0, 2.0, 3.0]))
    >>> hits.tolist(), given.tolist()
    ([2, 1], [3, 1])
    """
    return len(positive) - np.searchsorted(positive, positive), len(known) - np.searchsorted(known, positive)


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
        self.compared = 0
        self._counts = torch.zeros(3, dtype=torch.int64, device=device)  # inverted, confident, both

    def add(self, logits: Tensor) -> None:
        """Count the inversions in the logits of some images, float[images, categories], on the device of the pairs.

        What was counted stays there: this process does not wait for a GPU.
        """
        by_category = logits.T.contiguous()  # so that the logits of a category are read in one piece
        pairs = PAIRS_OF_GPU if logits.is_cuda else PAIRS
        for start in range(0, len(self._low), pairs):
            low, high = (
                by_category.index_select(0, one[start : start + pairs]) for one in (self._low, self._high)
            )
            below = high < low
            sure = low >= 0  # a score of at least 0.5
            self.compared += below.numel()
            self._counts += torch.stack([one.count_nonzero() for one in (below, sure, below & sure)])

    def shares(self) -> dict[str, float | int | None]:
        """Return `pairs`, the share of comparisons inverted, and the same where the descendant scores at least 0.5."""
        inverted, confident, both = self._counts.tolist()
        return {
            "pairs": len(self._low),
            "share": inverted / self.compared if self.compared else None,
            "share_confident": both / confident if confident else None,
        }
