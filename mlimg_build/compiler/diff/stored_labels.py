"""Count the labels and contradictions that a dataset stores, one shard at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.diff.snapshot import COLUMN, COUNTED, Clashes
from mlimg_build.dataset import Dataset, Split

__all__ = ["CountedLabels", "clashes_of", "count_labels"]


@dataclass(frozen=True, slots=True)
class CountedLabels:
    """`labels`, int64[categories, 5], counts labels in the order of `COUNTED`; `added` those that each pair added.

    A pair is (antecedent, consequent), positions in the categories; ancestors that its labels imply are not counted.
    """

    labels: npt.NDArray[np.int64]
    added: Counter[tuple[int, int]]


def count_labels(dataset: Dataset) -> CountedLabels:
    """Return the label counts of each category and of each pair of co-occurring categories."""
    n = len(dataset.categories)
    column = np.array([COLUMN[rule] for rule in dataset.rules], np.int64)
    total = np.zeros(n * len(COUNTED), np.int64)
    added: Counter[tuple[int, int]] = Counter()
    for split in dataset.splits.values():
        for shard in range(split.shards):
            category, rule, state = (
                split.column(f"labels/{name}", shard) for name in ("category", "rule", "state")
            )
            into = category.astype(np.int64) * len(COUNTED) + column[rule, np.where(state > 0, 0, 1)]
            total += np.bincount(into, minlength=len(total))
            added.update(_added(dataset, split, shard, category, rule))
    return CountedLabels(total.reshape(n, len(COUNTED)), added)


def _added(
    dataset: Dataset, split: Split, shard: int, category: npt.NDArray[np.int32], rule: npt.NDArray[np.uint8]
) -> dict[tuple[int, int], int]:
    """Return how many labels each pair added in a shard."""
    here = rule == dataset.rules.index("cooccurrence")
    if not here.any():
        return {}
    pairs = np.stack([split.column("labels/via", shard)[here], category[here]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(low, high): count for (low, high), count in zip(found.tolist(), counts.tolist(), strict=True)}


def clashes_of(dataset: Dataset) -> Clashes:
    """Return the contradictions within single images that a dataset stores."""
    counted: Counter[tuple[str, str, int]] = Counter()
    wnids = dataset.categories.wnid
    for split in dataset.splits.values():
        for shard in range(split.shards):
            absent, present, kept = (
                split.column(f"contradictions/{name}", shard).tolist()
                for name in ("absent", "present", "kept")
            )
            counted.update(
                (wnids[low], wnids[high], stands)
                for low, high, stands in zip(absent, present, kept, strict=True)
            )
    return counted
