"""One pass over the small columns of every shard, for counts that the attributes of a dataset do not have."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset import Dataset, Split

__all__ = ["ContradictionRow", "Place", "Scan", "scan"]

EXAMPLES = 5  # ids of a status, rows of a pair of categories that contradict each other
OF_A_SOURCE = 64  # rows of each source that the gallery may choose from
CLASHING = 64  # rows with contradictions that the gallery may choose from
Place = tuple[str, int]
"""A split and a row of it."""


@dataclass(frozen=True, slots=True)
class ContradictionRow:
    """Two categories that contradict each other in `count` images; `kept` as in `Contradiction`."""

    absent: int
    present: int
    kept: int
    count: int
    examples: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What one pass over a dataset finds, by the codes of its tables.

    `stored` and `failed` are int64[splits, sources, statuses]: images with and without bytes. `present[k]` counts the
    images with k labels present, `absent[k]` those with k absent. `failures` gives some ids by status. `added` counts
    the labels that each pair of categories (antecedent, consequent) added.
    """

    stored: NDArray[np.int64]
    failed: NDArray[np.int64]
    present: NDArray[np.int64]
    absent: NDArray[np.int64]
    added: dict[tuple[int, int], int]
    failures: dict[str, tuple[str, ...]]
    clashes: tuple[ContradictionRow, ...]
    of_source: tuple[tuple[Place, ...], ...]
    clashing: tuple[Place, ...]


def scan(dataset: Dataset) -> Scan:
    """Read every shard's columns once, one shard at a time, and no image; return what they count."""
    found = _Tally(dataset)
    for number, split in enumerate(dataset.splits.values()):
        for shard in range(split.shards):
            found.images(number, split, shard)
            found.labels(split, shard)
            found.contradictions(split, shard)
    return found.scan()


class _Tally:
    def __init__(self, dataset: Dataset) -> None:
        self.statuses: list[str] = dataset.tables["statuses"]
        self.rules = [code for code, rule in enumerate(dataset.rules) if rule == "cooccurrence"]
        self.added: dict[tuple[int, int], int] = defaultdict(int)
        shape = (len(dataset.splits), len(dataset.sources), len(self.statuses))
        self.stored, self.failed = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.counts = {state: np.zeros(1, np.int64) for state in (1, -1)}
        self.failures: dict[int, list[str]] = defaultdict(list)
        self.pairs: dict[tuple[int, int, int], int] = defaultdict(int)
        self.examples: dict[tuple[int, int, int], list[Place]] = defaultdict(list)
        self.of_source: list[list[Place]] = [[] for _ in dataset.sources]
        self.clashing: list[Place] = []

    def images(self, number: int, split: Split, shard: int) -> None:
        """Count images by source and status, and keep some rows of each."""
        source, status = (split.column(f"images/{name}", shard) for name in ("source", "status"))
        spans = split.spans("images", shard)
        there = spans[:, 1] > spans[:, 0]
        counted = there & split.counted(shard)
        np.add.at(self.stored[number], (source[there], status[there]), 1)
        np.add.at(self.failed[number], (source[~there], status[~there]), 1)
        for code in np.unique(status[~there]).tolist():
            wanted = EXAMPLES - len(self.failures[code])
            if wanted > 0:
                rows = np.flatnonzero(~there & (status == code))[:wanted]
                self.failures[code] += split.texts("images/id", shard).take(rows)
        first = split.rows(shard).start
        for code, places in enumerate(self.of_source):
            if len(places) < OF_A_SOURCE:
                rows = np.flatnonzero(counted & (source == code))[: OF_A_SOURCE - len(places)]
                places += [(split.name, first + row) for row in rows.tolist()]

    def labels(self, split: Split, shard: int) -> None:
        """Count labels per image; of images with the same bytes, only those of the counted one."""
        spans, state = split.spans("counted", shard), split.column("counted/state", shard)
        counted = split.counted(shard)
        for wanted in self.counts:
            ends = np.concatenate([[0], np.cumsum(state == wanted)])
            held = np.bincount((ends[spans[:, 1]] - ends[spans[:, 0]])[counted])
            self.counts[wanted] = _added(self.counts[wanted], held)
        self.together(split, shard)

    def together(self, split: Split, shard: int) -> None:
        """Count the labels that pairs of categories added; an image that is not counted has none."""
        by_pair = np.isin(split.column("counted/rule", shard), self.rules)
        if not by_pair.any():
            return
        pairs = np.stack([split.column(f"counted/{name}", shard)[by_pair] for name in ("via", "category")], 1)
        for (via, category), count in zip(*_tallied(pairs), strict=True):
            self.added[via, category] += count

    def contradictions(self, split: Split, shard: int) -> None:
        """Count the pairs of categories that contradict each other, and keep some rows of each."""
        spans = split.spans("contradictions", shard)
        if not len(spans) or not spans[-1, 1]:
            return
        columns = [
            split.column(f"contradictions/{name}", shard).tolist() for name in ("absent", "present", "kept")
        ]
        rows = np.repeat(np.arange(len(spans)), (spans[:, 1] - spans[:, 0]).astype(np.int64))
        for row, *pair in zip(rows.tolist(), *columns, strict=True):
            absent, present, kept = pair
            place = (split.name, split.rows(shard).start + row)
            self.pairs[absent, present, kept] += 1
            if len(self.examples[absent, present, kept]) < EXAMPLES:
                self.examples[absent, present, kept].append(place)
            if len(self.clashing) < CLASHING and place not in self.clashing[-1:]:
                self.clashing.append(place)

    def scan(self) -> Scan:
        """Return what was counted, the most frequent contradictions first."""
        clashes = [
            ContradictionRow(*pair, count, tuple(self.examples[pair]))
            for pair, count in sorted(self.pairs.items())
        ]
        return Scan(
            stored=self.stored,
            failed=self.failed,
            present=self.counts[1],
            absent=self.counts[-1],
            added=dict(self.added),
            failures={self.statuses[code]: tuple(ids) for code, ids in sorted(self.failures.items())},
            clashes=tuple(sorted(clashes, key=lambda clash: -clash.count)),
            of_source=tuple(map(tuple, self.of_source)),
            clashing=tuple(self.clashing),
        )


def _tallied(pairs: NDArray[np.int32]) -> tuple[list[list[int]], list[int]]:
    """Return the distinct rows of int32[n, 2], and how often each occurs."""
    rows, counts = np.unique(pairs, axis=0, return_counts=True)
    return rows.tolist(), counts.tolist()


def _added(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of two histograms of any lengths."""
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total
