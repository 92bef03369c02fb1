"""Counts of the images and labels of shards and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["counted_once", "label_tally", "skipped_images", "split_counts", "tally"]

STATES = {1: "present", -1: "absent"}
DENSE = 1 << 16  # keys below this are counted with bincount
KEPT = {1: "present", -1: "absent", 0: "neither"}


def tally(codes: NDArray[Any]) -> dict[int, int]:
    """Return how often each code occurs, by code.

    >>> tally(np.array([2, 0, 2]))
    {0: 1, 2: 2}
    """
    return dict(sorted(Counter(codes.tolist()).items()))


def label_tally(
    state: NDArray[np.int8], rule: NDArray[np.uint8], source: NDArray[np.uint16]
) -> list[tuple[int, int, int, int]]:
    """Return how many labels there are of each (state, rule, source): sorted rows (state, rule, source, count).

    >>> label_tally(np.array([1, 1, -1], "i1"), np.array([0, 0, 2], "u1"), np.array([0, 0, 1], "u2"))
    [(-1, 2, 1, 1), (1, 0, 0, 2)]
    """
    rules, sources = (int(codes.max(initial=0)) + 1 for codes in (rule, source))
    keys = np.asarray(state, "i8") + 1
    for codes, count in ((rule, rules), (source, sources)):
        keys *= count
        keys += codes
    lowest, highest = (int(bound) for bound in (keys.min(initial=0), keys.max(initial=0)))
    if lowest >= 0 and highest < DENSE:
        found, counts = np.arange(highest + 1), np.bincount(keys, minlength=1)
    else:  # of a damaged dataset, for example
        found, counts = np.unique(keys, return_counts=True)
    return [
        (key // sources // rules - 1, key // sources % rules, key % sources, count)
        for key, count in zip(found.tolist(), counts.tolist(), strict=True)
        if count
    ]


def split_counts(
    images: Sequence[Mapping[str, Any]],
    labels: Sequence[Mapping[str, Any]],
    tables: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return the counts of a split by name: images by status and source, labels by state, rule and source."""
    return {
        "shards": len(images),
        "images": sum(record["images"] for record in images),
        "bytes": sum(record["length"] for record in images),
        "statuses": _named((record["statuses"] for record in images), tables["statuses"]),
        "failed": _named((record["failed"] for record in images), tables["statuses"]),
        "sources": _named((record["sources"] for record in images), tables["sources"]),
        "labels": _label_counts([record["tally"] for record in labels], tables),
        "contradictions": {
            KEPT[int(code)]: count for code, count in _added(record["kept"] for record in labels).items()
        },
    }


def counted_once(
    images: int, tallies: Iterable[Iterable[Sequence[int]]], tables: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return the counts of the counted images of a split and of their labels; copies count once, with their union."""
    return {"images": images, "labels": _label_counts(tallies, tables)}


def _label_counts(
    tallies: Iterable[Iterable[Sequence[int]]], tables: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    states = dict.fromkeys(STATES.values(), 0)
    rules: dict[str, dict[str, int]] = {}
    sources: dict[str, dict[str, int]] = {}
    for tally in tallies:
        for code, rule, source, count in tally:
            state = STATES[code]
            states[state] += count
            for group, name in ((rules, tables["rules"][rule]), (sources, tables["sources"][source])):
                counts = group.setdefault(name, dict.fromkeys(STATES.values(), 0))
                counts[state] += count
    rules, sources = (
        {name: counts for name, counts in group.items() if any(counts.values())} for group in (rules, sources)
    )
    return {**states, "rules": dict(sorted(rules.items())), "sources": dict(sorted(sources.items()))}


def _added(records: Iterable[Mapping[Any, int]]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for record in records:
        total.update({int(code): count for code, count in record.items()})
    return dict(sorted(total.items()))


def _named(records: Iterable[Mapping[Any, int]], names: Sequence[str]) -> dict[str, int]:
    return {names[code]: count for code, count in _added(records).items()}


def skipped_images(groups: Mapping[str, NDArray[Any]], members: Mapping[str, NDArray[Any]]) -> dict[int, int]:
    """Return by split number how many images are not counted, because another one with the same bytes is."""
    first = np.zeros(len(members["row"]), np.bool_)
    first[groups["start"].astype(np.int64)] = True
    split, count = np.unique(members["split"][~first], return_counts=True)
    return {
        number: times for number, times in zip(split.tolist(), count.tolist(), strict=True) if number >= 0
    }
