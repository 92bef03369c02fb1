"""Relations of categories besides WordNet: their nesting in a source, and the images that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["above", "colabel_weights", "label_shares", "parent_weights"]

Key = tuple[str, str]


def parent_weights(
    rows: Mapping[Key, int], telling: Sequence[bool], parents: Mapping[Key, Sequence[str]]
) -> sparse.csr_array:
    """Return float64[category, category]: for each category its ancestors in its source, each step up half as much.

    `parents` maps (source, id) to the ids just above it. Ancestors that tell nothing (`telling` False) are skipped; in
    a cycle, the category itself is. A row sums to 1, or to 0 without ancestors.
    """
    entries = []
    for (source, key), row in rows.items():
        at = [
            (rows[source, node], steps)
            for node, steps in above(source, key, parents)
            if (source, node) in rows
        ]
        weights = [(one, 0.5**steps) for one, steps in at if telling[one] and one != row]
        whole = sum(weight for _, weight in weights)
        entries += [(row, one, weight / whole) for one, weight in weights]
    return _matrix(entries, len(rows))


def colabel_weights(
    rows: Mapping[Key, int], decided: Sequence[bool], colabels: Mapping[Key, Sequence[tuple[Key, int]]]
) -> sparse.csr_array:
    """Return float64[category, category]: for each category the labels of its images, weighted by information.

    The weight of a label is its number of images times the logarithm of how much more often it occurs than by
    chance (pointwise mutual information), and 0 if that is not positive.
    """
    seen = _seen(colabels)
    everything = sum(seen.values())
    entries = []
    for key, others in colabels.items():
        if key not in rows:
            continue
        total = sum(count for _, count in others)
        known = [(rows[other], other, count) for other, count in others if other in rows and count > 0]
        weights = [
            (at, count * log(count * everything / (total * seen[other])))
            for at, other, count in sorted(known)
            if decided[at] and at != rows[key]
        ]
        weights = [(at, weight) for at, weight in weights if weight > 0]
        whole = sum(weight for _, weight in weights)
        entries += [(rows[key], at, weight / whole) for at, weight in weights]
    return _matrix(entries, len(rows))


def label_shares(
    rows: Mapping[Key, int], decided: Sequence[bool], colabels: Mapping[Key, Sequence[tuple[Key, int]]]
) -> npt.NDArray[np.float64]:
    """Return float64[category]: the share of each category in all labels of `colabels` that have a synset."""
    shares = np.zeros(len(rows))
    for key, count in sorted(_seen(colabels).items()):
        if key in rows and decided[rows[key]]:
            shares[rows[key]] = count
    total = shares.sum()
    return shares / total if total else shares


def _seen(colabels: Mapping[Key, Sequence[tuple[Key, int]]]) -> dict[Key, int]:
    seen: dict[Key, int] = {}
    for others in colabels.values():
        for other, count in others:
            seen[other] = seen.get(other, 0) + count
    return seen


def above(source: str, key: str, parents: Mapping[Key, Sequence[str]]) -> Iterator[tuple[str, int]]:
    """Yield (id, steps) of all above a category in its source, nearest first, each once, but not itself."""
    seen, queue = {key}, [(key, 0)]
    for below, steps in queue:  # grows during the loop
        for node in sorted(parents.get((source, below), ())):
            if node not in seen:
                seen.add(node)
                queue.append((node, steps + 1))
                yield node, steps + 1


def _matrix(entries: Sequence[tuple[int, int, float]], n: int) -> sparse.csr_array:
    row, column, weight = zip(*sorted(entries), strict=True) if entries else ((), (), ())
    at = (np.array(row, dtype=np.int64), np.array(column, dtype=np.int64))
    return sparse.csr_array((np.array(weight, dtype=np.float64), at), shape=(n, n))
