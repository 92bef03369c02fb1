"""Rows of a sparse matrix for many categories at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Expansion", "entries", "expand"]


class Expansion(NamedTuple):
    """For each related category: the position that it was reached from, itself, and the value (hops)."""

    origin: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    hops: npt.NDArray[np.int32]


def expand(relation: sparse.csr_array, categories: npt.NDArray[np.int32]) -> Expansion:
    """Return every entry of the matrix rows `categories[i]`, in order of i.

    >>> up = sparse.csr_array(np.array([[0, 1, 2], [0, 0, 1], [0, 0, 0]], dtype=np.int32))
    >>> [column.tolist() for column in expand(up, np.array([1, 0], dtype=np.int32))]
    [[0, 1, 1], [2, 1, 2], [1, 1, 2]]
    """
    start = relation.indptr[categories].astype(np.int64)
    count = relation.indptr[categories + 1].astype(np.int64) - start
    origin = np.repeat(np.arange(len(categories)), count)
    at = np.repeat(start - np.cumsum(count) + count, count)
    at += np.arange(len(at))
    category, hops = relation.indices.take(at), relation.data.take(at)
    return Expansion(origin, category.astype(np.int32, copy=False), hops.astype(np.int32, copy=False))


def entries(
    matrix: sparse.csr_array, row: npt.NDArray[np.int32], column: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Return the entries of a matrix at (row, column), 0 where it has none; int64[len(row)].

    >>> entries(sparse.csr_array(np.array([[0, 7]])), np.array([0, 0]), np.array([1, 0])).tolist()
    [7, 0]
    """
    if not len(row):  # scipy does not accept an empty lookup
        return np.empty(0, np.int64)
    found: npt.NDArray[np.int64] = np.asarray(matrix[row, column]).ravel().astype(np.int64)
    return found
