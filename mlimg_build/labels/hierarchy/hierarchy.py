"""The hierarchy over the categories of a vocabulary: a DAG from WordNet, or a tree from a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.errors import LabelError, Problem
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.closure import find_cycle, transitive_closure
from mlimg_build.wordnet.closure import from_pairs as matrix_of

__all__ = ["Hierarchy", "from_graph", "from_pairs"]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The strict order of n categories.

    `parents` is bool[n, n], child row and parent column, without an edge that longer paths imply (the
    transitive reduction; Aho, Garey, Ullman 1972). `hops` is int32[n, n] with the fewest of these edges from
    a category up to each of its ancestors; the columns with an entry are the ancestors of the row.
    `down` is its transpose: the descendants of each category.
    """

    parents: sparse.csr_array
    hops: sparse.csr_array
    down: sparse.csr_array

    def __len__(self) -> int:
        return int(self.hops.shape[0])

    @property
    def pairs(self) -> int:
        """The number of (category, ancestor) pairs that the hierarchy implies."""
        return int(self.hops.nnz)

    @property
    def roots(self) -> npt.NDArray[np.int64]:
        """The categories without a parent."""
        return np.flatnonzero(np.diff(self.parents.indptr) == 0)

    @property
    def depths(self) -> npt.NDArray[np.int64]:
        """The longest path from each category up to a root, in edges; int64[n]."""
        depth = np.zeros(len(self), dtype=np.int64)
        child = np.repeat(np.arange(len(self)), np.diff(self.parents.indptr))
        for _ in range(len(self)):
            deeper = depth.copy()
            np.maximum.at(deeper, child, depth[self.parents.indices] + 1)
            if np.array_equal(deeper, depth):
                break
            depth = deeper
        return depth

    def path(self, low: int, high: int) -> list[int]:
        """Return a shortest chain of parents from `low` up to `high`, both included; the lowest index of equals.

        Raises:
            KeyError: if `high` is neither `low` nor above it.
        """
        if self._hops(low, high) is None:
            raise KeyError(f"{high} is no ancestor of {low}")
        chain = [low]
        while chain[-1] != high:
            start, stop = self.parents.indptr[chain[-1]], self.parents.indptr[chain[-1] + 1]
            parents = self.parents.indices[start:stop].tolist()
            left = [(hops, parent) for parent in parents if (hops := self._hops(parent, high)) is not None]
            chain.append(min(left)[1])
        return chain

    def _hops(self, low: int, high: int) -> int | None:
        if low == high:
            return 0
        row = slice(self.hops.indptr[low], self.hops.indptr[low + 1])
        at = np.flatnonzero(self.hops.indices[row] == high)
        return int(self.hops.data[row][at[0]]) if len(at) else None


def from_graph(
    graph: NounGraph,
    wnids: Sequence[str],
    relations: Sequence[str] = ("hypernym", "instance_hypernym"),
    extra: Sequence[tuple[str, str]] = (),
) -> Hierarchy:
    """Return the order of WordNet restricted to `wnids`: an ancestor may be reached through synsets outside of them.

    `extra` adds (child, parent) pairs, such as parts and their wholes.

    Raises:
        WordNetError: "unknown-synset" for an id that the release lacks, "cycle" with the path of the cycle.
    """
    if not wnids:
        return _from_closure(sparse.csr_array((0, 0), dtype=bool))
    where = np.array([graph.index(wnid) for wnid in wnids])
    closure = graph.closure(tuple(relations), extra)
    return _from_closure(sparse.csr_array(closure[where][:, where]))


def from_pairs(wnids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Hierarchy:
    """Return the order that (child, parent) pairs span, restricted to `wnids`; paths may lead through other ids.

    A category that no pair names is a root.

    Raises:
        LabelError: "cycle" with the path of the cycle.
    """
    nodes = sorted({*wnids, *(node for pair in pairs for node in pair)})
    at = {node: i for i, node in enumerate(nodes)}
    edges = np.array([(at[child], at[parent]) for child, parent in pairs], dtype=np.int32).reshape(-1, 2)
    matrix = matrix_of(edges, len(nodes))
    if cycle := find_cycle(matrix):
        raise LabelError(
            Problem(
                "cycle",
                f"the tree of categories goes round in a circle: {' → '.join(nodes[i] for i in cycle)}",
                hint="give each category one parent that is more general than itself",
            )
        )
    closure = transitive_closure(matrix)
    where = np.array([at[wnid] for wnid in wnids], dtype=np.int64)
    return _from_closure(sparse.csr_array(closure[where][:, where]))


def _from_closure(closure: sparse.csr_array) -> Hierarchy:
    counted = closure.astype(np.int32)
    implied = sparse.csr_array(counted @ counted) > 0  # reached through a category in between
    parents = sparse.csr_array(closure > closure.multiply(implied))
    hops = _hops(parents)
    down = sparse.csr_array(hops.T)
    for matrix in (parents, hops, down):
        matrix.sum_duplicates()
        matrix.sort_indices()
    return Hierarchy(parents, hops, down)


def _hops(parents: sparse.csr_array) -> sparse.csr_array:
    """Return int32[n, n]: the fewest edges from row to column, by a breadth-first search from all rows at once."""
    step = parents.astype(np.int32)
    total, front, distance = step.copy(), step, 1
    while front.nnz:
        distance += 1
        reached = sparse.csr_array(front @ step) > 0
        known = total > 0
        front = sparse.csr_array(reached > reached.multiply(known)).astype(np.int32)
        total = sparse.csr_array(total + front * distance)
    return total
