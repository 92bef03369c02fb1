"""Compare two hierarchies of the same categories: their depths, and the pairs in which they differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import expand

__all__ = ["Departures", "Difference", "Shape", "difference", "shape"]


@dataclass(frozen=True, slots=True)
class Shape:
    """Statistics of a hierarchy: `pairs` are (category, ancestor), depths are edges up to a root, roots 0.

    `mean_depth` is over all categories, roots included. The published tree of ML-Images has 16 and 7.4711.
    """

    categories: int
    roots: int
    pairs: int
    deepest: int
    mean_depth: float


def shape(hierarchy: Hierarchy) -> Shape:
    """Return the statistics of `hierarchy`; the depth of a category is that of its longest path to a root."""
    depths = hierarchy.depths
    return Shape(
        categories=len(hierarchy),
        roots=len(hierarchy.roots),
        pairs=hierarchy.pairs,
        deepest=int(depths.max(initial=0)),
        mean_depth=float(depths.mean()) if len(depths) else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Departures:
    """(category, ancestor) pairs of one hierarchy that another one lacks, sorted; int32[m] each.

    `origin` is where the difference begins: the category itself, or the one above it in the compared tree from
    which it inherits it. All breeds of dog are under no domestic animal because the tree's dog is not.
    """

    category: npt.NDArray[np.int32]
    ancestor: npt.NDArray[np.int32]
    origin: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.category)


@dataclass(frozen=True, slots=True)
class Difference:
    """The pairs that a hierarchy lacks of another one, and those that it has in addition."""

    lost: Departures
    added: Departures


def difference(whole: Hierarchy, tree: Hierarchy) -> Difference:
    """Return where `tree` differs from `whole`, both over the same categories in the same order.

    Raises:
        ValueError: if they differ in size.
    """
    if len(whole) != len(tree):
        raise ValueError(f"hierarchies of {len(whole)} and of {len(tree)} categories cannot be compared")
    return Difference(
        lost=_departures(whole.hops, tree.hops, tree), added=_departures(tree.hops, whole.hops, tree)
    )


def _departures(having: sparse.csr_array, lacking: sparse.csr_array, tree: Hierarchy) -> Departures:
    n = np.int64(max(len(tree), 1))
    keys = np.setdiff1d(_keys(having), _keys(lacking), assume_unique=True)
    category, ancestor = (keys // n).astype(np.int32), (keys % n).astype(np.int32)
    up = expand(tree.parents, category)
    inherited = up.category * n + ancestor[up.origin]
    at = np.searchsorted(keys, inherited).clip(max=max(len(keys) - 1, 0))
    found = keys[at] == inherited
    origin = np.arange(len(keys))
    origin[up.origin[found]] = at[found]
    while not np.array_equal(origin[origin], origin):  # a tree has no cycle, so this ends at its root
        origin = origin[origin]
    return Departures(category, ancestor, category[origin])


def _keys(order: sparse.csr_array) -> npt.NDArray[np.int64]:
    """Return a number for each (row, column), in ascending order."""
    row = np.repeat(np.arange(order.shape[0]), np.diff(order.indptr))
    keys: npt.NDArray[np.int64] = row * np.int64(order.shape[1]) + order.indices
    return keys
