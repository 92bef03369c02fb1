"""The statistics of a dataset for the page: sums of its own counts, and those of the scan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset import Dataset, copies_in_words
from mlimg_build.report.dataset_scan import Scan, scan

__all__ = ["LeftOut", "PassedOver", "Statistics", "measure"]

States = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """How many items of a source could not be used, for one reason (its code)."""

    source: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many images of a source have no row in the dataset, for one reason (its code)."""

    source: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The numbers of a dataset.

    `rules` and `sources` count labels by name and state ("present", "absent"); `kept` counts contradictions by the side
    that was kept; `left_out` images without a label (`left_out_by` source and reason, the most first), `below`
    statements under a source's confidence. Labels are those of the counted images, and `copies` says in words which
    those are.
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
    copies: str
    left_out: int
    left_out_by: tuple[LeftOut, ...]
    below: int
    passed_over: tuple[PassedOver, ...]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    scan: Scan


def measure(dataset: Dataset) -> Statistics:
    """Return the statistics of an opened dataset; reads small columns of every shard, and no image.

    Raises:
        DatasetError: if a column cannot be read.
    """
    attributes = dataset.attributes
    parts: list[dict[str, Any]] = list(attributes["counts"].values())
    labels = [part["counted"]["labels"] for part in parts]
    categories, found = dataset.categories, scan(dataset)
    return Statistics(
        images=sum(len(split) for split in dataset.splits.values()),
        stored=int(found.stored.sum()),
        bytes=sum(part["bytes"] for part in parts),
        shards=sum(split.shards for split in dataset.splits.values()),
        categories=len(categories),
        shown=int((categories.positives > 0).sum()),
        roots=int((np.diff(categories.parent_start) == 0).sum()),
        present=sum(label["present"] for label in labels),
        absent=sum(label["absent"] for label in labels),
        rules=_states(label["rules"] for label in labels),
        sources=_states(label["sources"] for label in labels),
        kept=_sum(part["contradictions"] for part in parts),
        failed=_sum(part["failed"] for part in parts),
        splits={name: len(split) for name, split in dataset.splits.items()},
        copies=copies_in_words(attributes.get("copies", {})),
        left_out=int(attributes.get("images_without_label", 0)),
        left_out_by=_left_out(attributes.get("sources", {})),
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


def _left_out(sources: Mapping[str, Mapping[str, Any]]) -> tuple[LeftOut, ...]:
    found = [
        LeftOut(name, reason, count)
        for name, source in sources.items()
        for reason, count in source.get("left_out", {}).items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.count, one.source, one.reason)))


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
