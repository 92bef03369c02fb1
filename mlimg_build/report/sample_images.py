"""Choose the images of the gallery: the same ones every time, spread over sources and categories."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlimg_build.dataset import Dataset
from mlimg_build.report.dataset_scan import Place, Scan

__all__ = ["TRAITS", "choose"]

TRAITS = {
    "contradiction": "sources contradict each other",
    "machine": "labelled by a machine",
    "absent": "verified absences",
    "implied": "labels that follow from others",
}
OF_A_TRAIT = 3  # least number of images that show each trait, if there are so many
PREFIX = (
    1024  # images of each split to choose from: the order of a split is that of a hash, so they are a sample
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: Place
    source: int
    categories: tuple[int, ...]
    traits: frozenset[str]


def choose(dataset: Dataset, found: Scan, wanted: int) -> list[Place]:
    """Return up to `wanted` images: some for each of `TRAITS`, then from the categories and sources shown least.

    Images with bytes are preferred; if a dataset holds none, rows without bytes are chosen.
    """
    candidates = [_described(dataset, place) for place in _places(dataset, found)]
    chosen: list[_Candidate] = []
    sources: Counter[int] = Counter()
    categories: Counter[int] = Counter()

    def take(rest: Iterable[_Candidate]) -> bool:
        def shown(candidate: _Candidate) -> tuple[int, int, bool]:
            most = max((categories[number] for number in candidate.categories), default=1)
            return most, sources[candidate.source], not candidate.categories

        best = min((item for item in rest if item not in chosen), key=shown, default=None)
        if best is None or len(chosen) == wanted:
            return False
        chosen.append(best)
        sources[best.source] += 1
        categories.update(best.categories)
        return True

    for trait in TRAITS:
        having = [candidate for candidate in candidates if trait in candidate.traits]
        while sum(trait in item.traits for item in chosen) < OF_A_TRAIT and take(having):
            pass
    while take(candidates):
        pass
    return sorted((candidate.place for candidate in chosen), key=_mixed)


def _mixed(place: Place) -> bytes:
    """Return a sort key by a hash, so that the order of the images is unrelated to why they were chosen."""
    return hashlib.sha256(f"{place[0]} {place[1]}".encode()).digest()


def _places(dataset: Dataset, found: Scan) -> list[Place]:
    """Return the rows to choose from: those that are counted and have bytes, or all of them if none has."""
    rows = dict.fromkeys(
        [
            *(
                (name, row)
                for name, split in dataset.splits.items()
                for row in range(min(PREFIX, len(split)))
            ),
            *(place for places in found.of_source for place in places),
            *found.clashing,
        ]
    )
    with_bytes = [place for place in rows if _counts(dataset, place)]
    return with_bytes or list(rows)


def _counts(dataset: Dataset, place: Place) -> bool:
    """Return whether an image has bytes and is the counted one of those with the same bytes."""
    split = dataset[place[0]]
    shard, offset = split.locate(place[1])
    start, stop = split.spans("images", shard)[offset].tolist()
    return bool(stop > start and split.counted(shard)[offset])


def _described(dataset: Dataset, place: Place) -> _Candidate:
    split = dataset[place[0]]
    shard, offset = split.locate(place[1])
    start, stop = split.spans("counted", shard)[offset].tolist()
    category, state, rule, confidence = (
        split.column(f"counted/{name}", shard)[start:stop]
        for name in ("category", "state", "rule", "confidence")
    )
    stated = rule == dataset.rules.index("stated")
    traits = {
        "machine": bool((confidence < 1).any()),
        "absent": bool((stated & (state < 0)).any()),
        "implied": bool((~stated).any()),
        "contradiction": bool(np.ptp(split.spans("contradictions", shard)[offset].astype(np.int64))),
    }
    return _Candidate(
        place=place,
        source=int(split.column("images/source", shard)[offset]),
        categories=tuple(category[stated & (state > 0)].tolist()),
        traits=frozenset(trait for trait, has in traits.items() if has),
    )
