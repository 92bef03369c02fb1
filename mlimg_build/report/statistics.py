"""A dataset in numbers, for the page: sums of its own counts, and what the scan adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset import Dataset

from .scanning import Scan, scan

__all__ = ["PassedOver", "Statistics", "measure"]

States = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What a source held and that could not be used, by its code."""

    source: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of a dataset.

    `rules` and `sources` count labels by name and state ("present", "absent"); `kept` counts contradictions by
    the side that stands; `left_out` images without a label, `below` statements under a source's confidence.
    """

    images: int
    stored: int
    bytes: int
    shards: int
    categories: int
    shown: int
    roots: int
    present: int
    absent: int
    rules: States
    sources: States
    kept: dict[str, int]
    failed: dict[str, int]
    splits: dict[str, int]
    left_out: int
    below: int
    passed_over: tuple[PassedOver, ...]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    scan: Scan


def measure(dataset: Dataset) -> Statistics:
    """The statistics of an opened dataset; small columns of every shard are read, and no image.

    Raises `DatasetError` where they cannot be.
    """
    attributes = dataset.attributes
    parts: list[dict[str, Any]] = list(attributes["counts"].values())
    categories, found = dataset.categories, scan(dataset)
    return Statistics(
        images=sum(len(split) for split in dataset.splits.values()),
        stored=int(found.stored.sum()),
        bytes=sum(part["bytes"] for part in parts),
        shards=sum(split.shards for split in dataset.splits.values()),
        categories=len(categories),
        shown=int((categories.positives > 0).sum()),
        roots=int((np.diff(categories.parent_start) == 0).sum()),
        present=sum(part["labels"]["present"] for part in parts),
        absent=sum(part["labels"]["absent"] for part in parts),
        rules=_states(part["labels"]["rules"] for part in parts),
        sources=_states(part["labels"]["sources"] for part in parts),
        kept=_sum(part["contradictions"] for part in parts),
        failed=_sum(part["failed"] for part in parts),
        splits={name: len(split) for name, split in dataset.splits.items()},
        left_out=int(attributes.get("images_without_label", 0)),
        below=int(attributes.get("labels_below_confidence", 0)),
        passed_over=tuple(
            PassedOver(name, code, number)
            for name, source in attributes.get("sources", {}).items()
            for code, number in sorted(source.get("passed_over", {}).items())
        ),
        positives=categories.positives,
        negatives=categories.negatives,
        scan=found,
    )


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))


def _states(parts: Iterable[Mapping[str, Mapping[str, int]]]) -> States:
    total: dict[str, Counter[str]] = {}
    for part in parts:
        for name, states in part.items():
            total.setdefault(name, Counter()).update(states)
    return {
        name: {state: states[state] for state in ("present", "absent")}
        for name, states in sorted(total.items())
    }
