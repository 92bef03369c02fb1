"""Relations of categories besides WordNet: their nesting in a source, and the images that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import log

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["colabel_weights", "label_shares", "parent_weights"]

Key = tuple[str, str]


def parent_weights(
    rows: Mapping[Key, int], decided: Sequence[bool], parents: Mapping[Key, Sequence[str]]
) -> sparse.csr_array:
    """Return float64[category, category]: for each category its ancestors in its source, with equal weights.

    `parents` maps (source, id) to the ids just above it. Ancestors without a synset (`decided` False) are skipped;
    in a cycle, the category itself is.
    """
    entries = []
    for (source, key), row in rows.items():
        at = [rows[source, above] for above in _above(source, key, parents) if (source, above) in rows]
        at = [one for one in at if decided[one] and one != row]
        entries += [(row, one, 1 / len(at)) for one in at]
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


def _above(source: str, key: str, parents: Mapping[Key, Sequence[str]]) -> Iterator[str]:
    """Yield every id above a category in its source, nearest first, each once, without the category itself."""
    seen, queue = {key}, [key]
    for below in queue:  # grows during the loop
        for above in sorted(parents.get((source, below), ())):
            if above not in seen:
                seen.add(above)
                queue.append(above)
                yield above


def _matrix(entries: Sequence[tuple[int, int, float]], n: int) -> sparse.csr_array:
    row, column, weight = zip(*sorted(entries), strict=True) if entries else ((), (), ())
    at = (np.array(row, dtype=np.int64), np.array(column, dtype=np.int64))
    return sparse.csr_array((np.array(weight, dtype=np.float64), at), shape=(n, n))
