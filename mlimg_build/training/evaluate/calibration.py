"""Whether scores are probabilities, and from which score on a label is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from mlimg_build.training.evaluate.metrics import by_category, reached

__all__ = ["OwnThresholds", "Reliability", "Threshold", "own_thresholds"]

BINS = 15  # of equal width in scores, as in Guo et al. 2017 (arXiv 1706.04599)
LOGIT, STEP = 16.0, 1 / 64  # thresholds lie on logits from -LOGIT to LOGIT
ENOUGH = 50  # positives of a category from which on it has a threshold of its own: with fewer one overfits
PART = 1 << 16  # entries counted at a time on a CPU, whose cache holds them
PART_OF_GPU = 1 << 20  # on a GPU, which is waited for after each part


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score from which on labels are given, and over all entries their precision, recall and F1.

    Precision is hits / given, recall hits / present, F1 2 · hits / (given + present).
    """

    score: float
    f1: float
    precision: float
    recall: float


class Reliability:
    """Counts scores and what became of them, over entries of any images and categories.

    `expected_calibration_error` is the mean over `BINS` bins of the scores of |share present - mean score|, weighted by
    entries; `brier` is the mean of (score - present)^2 (Brier 1950).
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.present = np.zeros(BINS, np.int64)
        self.sums = np.zeros(BINS)
        self.squares = 0.0
        self._all = np.zeros(round(2 * LOGIT / STEP) + 1, np.int64)
        self._hits = np.zeros_like(self._all)

    def add(self, logits: Tensor, present: Tensor) -> None:
        """Count entries: `logits` float, `present` bool, both of one dimension."""
        self._count(logits[present], 1, present=True)
        self._count(logits[~present], 1, present=False)

    def add_table(self, logits: Tensor, present: Tensor, left_out: Tensor) -> None:
        """Count every entry of `logits`, float of any shape, as absent, but as `present` those whose logits it lists.

        Entries with the logits `left_out` do not count; both are of one dimension. It takes one pass over the table.
        """
        self._count(logits.reshape(-1), 1, present=False)
        for listed in (present, left_out):
            self._count(listed, -1, present=False)
        self._count(present, 1, present=True)

    def _count(self, logits: Tensor, times: int, *, present: bool) -> None:
        """Count entries of one state, or take them back with `times` -1."""
        for part in torch.split(logits.double(), PART_OF_GPU if logits.is_cuda else PART):
            scores = part.sigmoid()
            chosen = (scores * BINS).long().clamp_(max=BINS - 1)
            counts = times * torch.bincount(chosen, minlength=BINS).cpu().numpy()
            self.counts += counts
            self.sums += times * _sums(chosen, scores)
            self.squares += times * float(((1 - scores) if present else scores).square().sum())
            # the number of thresholds that a logit reaches
            reached = ((part + LOGIT) / STEP).floor().add_(1).long().clamp_(0, len(self._all) - 1)
            all_reached = times * torch.bincount(reached, minlength=len(self._all)).cpu().numpy()
            self._all += all_reached
            if present:
                self.present += counts
                self._hits += all_reached

    def record(self) -> dict[str, Any]:
        """Return the measures as plain JSON types; None where there is no entry."""
        counts = self.counts.clip(
            min=0
        )  # entries that were taken back may have been rounded into another bin
        entries, full = int(counts.sum()), counts > 0
        score = np.divide(self.sums, counts, where=full, out=np.zeros(BINS))
        share = np.divide(self.present, counts, where=full, out=np.zeros(BINS))
        error = float((counts * np.abs(share - score)).sum() / entries) if entries else None
        return {
            "entries": entries,
            "mean_score": float(self.sums.sum() / entries) if entries else None,
            "share_present": float(self.present.sum() / entries) if entries else None,
            "expected_calibration_error": error,
            "brier": self.squares / entries if entries else None,
            "bins": [
                {"entries": int(n), "score": float(s) if n else None, "present": float(p) if n else None}
                for n, s, p in zip(counts, score, share, strict=True)
            ],
        }

    def best_threshold(self) -> Threshold | None:
        """Return the score from which on labels have the best F1 over all entries; None if no label is present.

        Thresholds are `STEP` apart as logits.
        """
        present = int(self._hits.sum())
        if not present:
            return None
        given, hits = (counts[::-1].cumsum()[::-1][1:] for counts in (self._all, self._hits))
        f1 = 2 * hits / (given + present)
        best = int(f1.argmax())
        found, all_given = int(hits[best]), int(given[best])
        return Threshold(
            float(expit(best * STEP - LOGIT)), float(f1[best]), found / max(all_given, 1), found / present
        )


def _sums(chosen: Tensor, scores: Tensor) -> NDArray[np.float64]:
    """Return the sum of the scores in each bin."""
    if chosen.device.type == "cpu":
        sums = torch.bincount(chosen, weights=scores, minlength=BINS)
    else:  # a weighted count of a GPU is not the same twice, and a mask would have to be waited for
        sums = torch.stack([torch.where(chosen == number, scores, 0).sum() for number in range(BINS)])
    found: NDArray[np.float64] = sums.cpu().numpy()
    return found


@dataclass(frozen=True, slots=True)
class OwnThresholds:
    """The score with the best F1 of each category with `ENOUGH` positives, float64[categories], NaN for the others.

    `common_macro` is the mean F1 of the categories with a positive at the common threshold; `macro` is the same, and
    `micro` the F1 over all entries, with these thresholds, and with the common one for the other categories.
    """

    threshold: NDArray[np.float64]
    common_macro: float | None
    macro: float | None
    micro: float | None


def own_thresholds(
    logits: NDArray[np.float32], targets: Callable[[slice], NDArray[np.int8]], common: float
) -> OwnThresholds:
    """Find the thresholds of categories, beside the threshold `common` of all.

    `logits` is float32[images, categories] and may be a memory map; `targets` gives int8[images, chosen categories] for
    a slice of categories: 1 present, 0 absent, -1 no entry.
    """
    found = np.full(logits.shape[1], np.nan)
    hits = given = present = 0
    each: dict[str, list[float]] = {"common": [], "own": []}
    for number, known, positive in by_category(logits, targets):
        scores, there = (expit(one.astype(np.float64)) for one in (known, positive))
        limit = common
        if len(there) >= ENOUGH:
            limit = found[number] = _best(np.sort(scores), np.sort(there))
        for kind, threshold in (("common", common), ("own", limit)):
            right, labels = (int(np.count_nonzero(one >= threshold)) for one in (there, scores))
            if len(there):
                each[kind].append(2 * right / (labels + len(there)))
        hits, given, present = hits + right, given + labels, present + len(there)  # with the last, its own
    micro = 2 * hits / (given + present) if present else None
    macro = {kind: float(np.mean(values)) if values else None for kind, values in each.items()}
    return OwnThresholds(found, macro["common"], macro["own"], micro)


def _best(scores: NDArray[np.float64], present: NDArray[np.float64]) -> float:
    """Return the score of best F1, half-way to the next lower one; both are sorted, and `scores` has `present` too.

    >>> _best(np.array([0.2, 0.4, 0.8, 0.9]), np.array([0.8, 0.9]))
    0.6000000000000001
    """
    hits, given = (counts[::-1] for counts in reached(present, scores))
    best = int((2 * hits / (given + len(present))).argmax())  # of equal ones the highest
    below = len(scores) - int(given[best]) - 1
    return float((present[::-1][best] + (scores[below] if below >= 0 else 0.0)) / 2)
