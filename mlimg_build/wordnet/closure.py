"""Reachability in a directed graph that is given as a sparse boolean matrix: row = child, column = parent."""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

Edges: TypeAlias = "csr_array[np.bool_, tuple[int, int]]"  # older scipy has no subscripts at run time


def from_pairs(pairs: NDArray[np.int32], n: int) -> Edges:
    """Return the matrix bool[n, n] with True at each (row, column) of `pairs` int32[m, 2]; indices sorted."""
    pairs = np.unique(pairs, axis=0)
    start = np.searchsorted(pairs[:, 0], np.arange(n + 1)).astype(np.int32)
    values = np.ones(len(pairs), dtype=np.bool_)
    matrix: Edges = csr_array((values, np.ascontiguousarray(pairs[:, 1]), start), shape=(n, n))
    return matrix


def transitive_closure(edges: Edges) -> Edges:
    """Return bool[n, n] with sorted indices, True at [i, j] if one or more edges lead from i to j.

    Strict: [i, i] is True only if i lies on a cycle. Each round extends only the pairs that the round
    before found (semi-naive evaluation; Abiteboul, Hull, Vianu: Foundations of Databases, 13.1), so it
    ends on cyclic graphs too, after as many rounds as the distance of the farthest pair.
    """
    total, fresh = edges, edges
    while fresh.nnz:
        fresh = ((fresh @ edges) > total).tocsr()
        total = total + fresh
    closed: Edges = total.tocsr(copy=total is edges)
    closed.sort_indices()
    return closed


def find_cycle(edges: Edges) -> tuple[int, ...]:
    """Return the shortest cycle through the smallest node that lies on one, first node = last; () if there is none.

    >>> one_way = from_pairs(np.array([[0, 1], [1, 2]], np.int32), 3)
    >>> and_back = from_pairs(np.array([[0, 1], [1, 2], [2, 1]], np.int32), 3)
    >>> find_cycle(one_way), find_cycle(and_back)
    ((), (1, 2, 1))
    """
    _, component = connected_components(edges.astype(np.int8), directed=True, connection="strong")
    cyclic = np.bincount(component)[component] > 1
    cyclic |= edges.diagonal()
    if not cyclic.any():
        return ()
    start = int(np.flatnonzero(cyclic)[0])
    came_from: dict[int, int] = {}
    queue = deque([start])
    while start not in came_from:
        node = queue.popleft()
        for parent in np.sort(edges.indices[edges.indptr[node] : edges.indptr[node + 1]]).tolist():
            if parent not in came_from:
                came_from[parent] = node
                queue.append(parent)
    path = [start, came_from[start]]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))


def reach(start: int, sources: NDArray[np.int32], targets: NDArray[np.int32], n: int) -> NDArray[np.intp]:
    """Return the nodes that edges source → target lead to from `start`, without it: nearest first, ties by index."""
    seen = np.zeros(n, dtype=np.bool_)
    seen[start] = True
    frontier = seen.copy()
    levels = []
    while frontier.any():
        found = np.zeros(n, dtype=np.bool_)
        found[targets[frontier[sources]]] = True
        frontier = found & ~seen
        seen |= frontier
        levels.append(np.flatnonzero(frontier))
    return np.concatenate(levels)
