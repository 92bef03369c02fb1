"""What an evaluation sums over batches, on the device on which the network runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlimg_build.training.data.targets import SparseLabels
from mlimg_build.training.evaluate.calibration import Reliability
from mlimg_build.training.evaluate.metrics import Inversions, implied_pairs, precision_recall

__all__ = ["RunningMetrics", "entries_of"]

KS = (1, 5, 10)


class RunningMetrics:
    """Precision and recall at k, inversions of the hierarchy, and the reliability of scores, over images.

    `parents` lists the parents of each category, `usual` is the category that is most frequent in the training; labels
    of a machine are positive from a confidence of `positive_threshold`, and left out below it.
    """

    def __init__(
        self, parents: Sequence[Sequence[int]], usual: int, positive_threshold: float, device: torch.device
    ) -> None:
        self.verified, self.assumed = Reliability(), Reliability()
        self._inversions = Inversions(implied_pairs(parents), device)
        self._at_k = {k: np.zeros(3) for k in KS}
        self._always = np.zeros(2, np.int64)
        self._usual, self._threshold = usual, positive_threshold

    def add(self, logits: Tensor, labels: SparseLabels) -> None:
        """Add images: `logits` is float[images, categories], and `labels` are what is known of them, on any device."""
        image, category, target = labels.to(logits.device)
        self._inversions.add(logits)
        positive = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        present = target >= self._threshold
        positive[image[present], category[present]] = True
        doubtful = (target > 0) & ~present
        sure = (target == 0) | (target >= 1)
        self.verified.add(logits[image[sure], category[sure]], target[sure] >= 1)
        self.assumed.add_table(
            logits, logits[image[present], category[present]], logits[image[doubtful], category[doubtful]]
        )
        shown = positive.any(dim=1)
        self._always += int(positive[shown, self._usual].sum()), int(shown.sum())
        ranked = logits.clone()
        ranked[image[doubtful], category[doubtful]] = -torch.inf
        for k, found in precision_recall(ranked, positive, KS).items():
            self._at_k[k] += found

    def record(self) -> dict[str, Any]:
        """Return `at_k`, `calibration`, `hierarchy`, and as `always` the precision of naming the usual category."""
        hits, images = self._always.tolist()
        return {
            "at_k": {
                str(k): {"precision": _ratio(sums[0], sums[2]), "recall": _ratio(sums[1], sums[2])}
                for k, sums in self._at_k.items()
            },
            "always": _ratio(hits, images),
            "calibration": {
                "verified": self.verified.record(),
                "unknown_as_absent": self.assumed.record(),
            },
            "hierarchy": self._inversions.shares(),
        }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def entries_of(
    parts: Sequence[tuple[int, SparseLabels]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Join the labels of batches, each with the position of its first image: images, categories, targets."""
    image = np.concatenate([labels.image.numpy() + first for first, labels in parts])
    category = np.concatenate([labels.category.numpy() for _, labels in parts])
    return image, category, np.concatenate([labels.target.numpy() for _, labels in parts])
