"""Count the labels that pairs of categories would add to images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.derivation.cooccurrence import Block
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import entries, expand

__all__ = ["count_lacking"]


def count_lacking(
    blocks: Iterable[Block],
    hierarchy: Hierarchy,
    antecedent: npt.NDArray[np.int32],
    consequent: npt.NDArray[np.int32],
    *,
    positives: bool = True,
) -> npt.NDArray[np.int64]:
    """Count the images in which each antecedent is present and its consequent is not; int64[pairs].

    A category is present if it or, with `positives`, a descendant is stated. Images with a single stated category, most
    of an image classification set, are counted by that category.
    """
    n = len(hierarchy)
    left, right = np.unique(antecedent), np.unique(consequent)
    first = np.searchsorted(left, antecedent).astype(np.int32)
    second = np.searchsorted(right, consequent).astype(np.int32)
    up = sparse.csr_array(sparse.eye_array(n, dtype=np.int64))
    if positives:
        up = sparse.csr_array((up + (hierarchy.hops > 0)).astype(np.int64))
    to_left, to_right = sparse.csr_array(up[:, left]), sparse.csr_array(up[:, right])
    reaching = (np.diff(to_left.indptr) > 0).astype(np.bool_)
    alone = np.zeros(n, np.int64)
    holding = np.zeros(len(left), np.int64)
    together = sparse.csr_array((len(left), len(right)), dtype=np.int64)
    for block in blocks:
        image, category = _single(block)
        new = np.append(True, image[1:] != image[:-1])[: len(image)]
        size = np.diff(np.append(np.flatnonzero(new), len(image)))
        one = np.repeat(size == 1, size)
        alone += np.bincount(category[one], minlength=n)
        row = (np.cumsum(new) - 1)[~one]
        category = category[~one]
        wanted = np.zeros(len(size), np.bool_)
        wanted[row[reaching[category]]] = True  # images without an antecedent lack nothing
        kept = wanted[row]
        _, row = np.unique(row[kept], return_inverse=True)
        shape = (int(row[-1]) + 1 if len(row) else 0, n)
        stated = sparse.csr_array((np.ones(len(row), np.int64), (row, category[kept])), shape=shape)
        having, other = (sparse.csr_array((stated @ to) > 0).astype(np.int64) for to in (to_left, to_right))
        holding += np.bincount(having.indices, minlength=len(left))
        together = sparse.csr_array(together + having.T.tocsr() @ other)
    lacking = holding[first].astype(np.int64)
    lacking -= entries(together, first, second)
    used = np.flatnonzero(alone).astype(np.int32)
    reached = expand(to_left, used)
    at_left = sparse.csr_array(
        (alone[used][reached.origin], (reached.category, used[reached.origin])), shape=(len(left), n)
    )
    total: npt.NDArray[np.int64] = np.asarray(at_left.sum(axis=1)).ravel()
    both = sparse.csr_array(at_left @ to_right)
    lacking += total[first]
    lacking -= entries(both, first, second)
    return lacking


def _single(block: Block) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the distinct statements of a block, sorted by image."""
    image, category = block.image, block.category
    if len(image) > 1 and not (image[1:] > image[:-1]).all():
        order = np.lexsort((category, image))
        image, category = image[order], category[order]
        new = np.append(True, (image[1:] != image[:-1]) | (category[1:] != category[:-1]))
        image, category = image[new], category[new]
    return image, category
