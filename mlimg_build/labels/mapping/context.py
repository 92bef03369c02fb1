"""Evidence for a sense from other categories: near ones in WordNet, nested ones, and labels of the same images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.mapping.senses import Floats, Landscape, Senses

__all__ = ["below_parents", "beside_colabels", "neighbours"]

DOUBT = 3.0  # prior: categories seen, and as many expected, in a region

FEW = 3  # least number of categories of a region that is named


def neighbours(
    senses: Senses,
    landscape: Landscape,
    belief: Floats,
    known: Floats,
    counted: npt.NDArray[np.bool_],
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Compute how much denser with categories WordNet is around each candidate than on the whole, as a logarithm.

    `known[s]` is 1 for a synset that a category has by id; `counted` marks candidates that are not heads. Down the
    synsets above a candidate, largest first, the rate of categories per synset is multiplied by (seen + DOUBT) /
    (expected + DOUBT), a gamma-Poisson shrinkage, so that few categories have little effect. A category's own
    candidates are left out. Also returns the synset above each candidate where the rate is highest among those with
    at least `FEW` categories, int64[candidate], and their number; the candidate itself and 0 for none.
    """
    trusted = np.where(counted, belief, 0.0)
    own = sparse.csr_array(senses.spread(trusted) @ senses.above)
    mass = np.minimum(known + np.bincount(senses.node, trusted, minlength=len(known)), 1.0)
    seen = np.asarray(landscape.up.T @ mass)
    order, steps = _chains(senses, landscape)
    itself = own[senses.owner].multiply(senses.above).tocsr()
    outside = seen[senses.above.indices] - _aligned(itself, senses.above)
    rate = np.full(len(senses), max(mass.sum(), 1.0) / len(known))
    total = np.zeros(len(senses))
    densest, held, most = senses.node.copy(), np.zeros(len(senses)), np.zeros(len(senses))
    for rows, at in steps:
        entry = order[at]
        place = senses.above.indices[entry]
        expected = landscape.size[place] * rate[rows]
        lift = (np.maximum(outside[entry], 0.0) + DOUBT) / (expected + DOUBT)
        rate[rows] *= lift
        total[rows] += np.log(lift)
        better = (total[rows] > most[rows]) & (outside[entry] >= FEW)
        at_best = rows[better]
        densest[at_best], held[at_best], most[at_best] = place[better], outside[entry][better], total[at_best]
    return total, densest, held


def _chains(
    senses: Senses, landscape: Landscape
) -> tuple[npt.NDArray[np.int64], list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]]:
    """Return the order of the entries of `senses.above`, within each row the largest synset first, and its steps.

    Step k has the rows with more than k entries, and the position of each one's k-th entry in the order.
    """
    row = np.repeat(np.arange(len(senses)), np.diff(senses.above.indptr))
    column = senses.above.indices
    order = np.lexsort((column, -landscape.size[column], row))
    start, length = senses.above.indptr[:-1].astype(np.int64), np.diff(senses.above.indptr)
    steps = []
    for k in range(int(length.max(initial=0))):
        rows = np.flatnonzero(length > k)
        steps.append((rows, start[rows] + k))
    return order, steps


def below_parents(senses: Senses, landscape: Landscape, belief: Floats, parents: sparse.csr_array) -> Floats:
    """Compute how informative it is that a candidate is a parent of its category, below one, or a part of one.

    A parent counts with its weight (the rows of `parents`) times minus the logarithm of the share of synsets
    that lie below it: to be an animal is less informative than to be a duck. float64[candidate].
    """
    said = sparse.csr_array(parents @ senses.synsets(belief))
    surprise = sparse.diags_array(-np.log(landscape.size / landscape.size.max()))
    said = sparse.csr_array(said @ surprise)
    told: Floats = np.asarray(senses.within.multiply(said[senses.owner]).sum(axis=1), dtype=np.float64)
    return told.ravel()


def beside_colabels(
    senses: Senses, landscape: Landscape, belief: Floats, colabels: sparse.csr_array, usual: Floats
) -> Floats:
    """Compute how near each candidate is to the labels of the same images, minus how near it is to all labels.

    Nearness is the narrowness (0 to 1) of the lowest synset above both; rows of `colabels` are weights that sum
    to 1 (or are empty, and then the result is 0), `usual` is each category's share of all labels.
    """
    lower = sparse.csr_array(senses.spread(belief) @ senses.above)
    everywhere = np.asarray(lower.T @ usual).ravel()
    together = sparse.csr_array(colabels @ lower)
    near = _aligned(together[senses.owner].multiply(senses.above).tocsr(), senses.above)
    told = np.diff(colabels.indptr)[senses.owner] > 0
    row = np.repeat(np.arange(len(senses)), np.diff(senses.above.indptr))
    column = senses.above.indices
    excess = (near - everywhere[column]) * told[row]
    order, _ = _chains(senses, landscape)
    narrow = landscape.narrow[column[order]]
    step = np.diff(narrow, prepend=0.0)
    first = senses.above.indptr[:-1][np.diff(senses.above.indptr) > 0]
    step[first] = narrow[first]
    return np.bincount(row[order], excess[order] * step, minlength=len(senses)).astype(np.float64)


def _aligned(matrix: sparse.csr_array, pattern: sparse.csr_array) -> Floats:
    """Return the entries of `matrix` at the positions of `pattern`, in the order of its data; 0 where it has none."""
    width = np.int64(pattern.shape[1])

    def keys(of: sparse.csr_array) -> npt.NDArray[np.int64]:
        row = np.repeat(np.arange(of.shape[0], dtype=np.int64), np.diff(of.indptr))
        return row * width + of.indices

    matrix.sort_indices()
    held, wanted = keys(matrix), keys(pattern)
    at = np.searchsorted(held, wanted).clip(max=max(len(held) - 1, 0))
    if not len(held):
        return np.zeros(len(wanted))
    found: Floats = np.where(held[at] == wanted, matrix.data[at], 0.0)
    return found
