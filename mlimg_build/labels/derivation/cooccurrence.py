"""Co-occurrence: which categories occur together in the images of a source, and how certain that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse, special

from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import entries, expand

__all__ = [
    "LARGEST",
    "Block",
    "Counts",
    "Pairs",
    "count_together",
    "learn_pairs",
    "wilson_bound",
    "without_implied",
]

LARGEST = np.float32(0.99)  # confidence of an added label at most: nobody looked at the image


class Block(NamedTuple):
    """Some images: what is stated present, as (image, category) columns, and what a model predicts, if one was run.

    All statements about an image are in one block. A predicted category of -1 means that the model predicted none.
    """

    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    seen_image: npt.NDArray[np.int64] | None = None
    seen_category: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How often categories occur together: `together[i, j]` of the `images[i]` with i also have j.

    int64[n, n], int64[n]; `rows` is the number of all images that were counted.
    """

    together: sparse.csr_array
    images: npt.NDArray[np.int64]
    rows: int

    @classmethod
    def none(cls, n: int) -> Self:
        """Return the counts over no image, of n categories."""
        return cls(sparse.csr_array((n, n), dtype=np.int64), np.zeros(n, np.int64), 0)

    def __add__(self, other: Counts) -> Counts:
        """Return the counts over the images of both, which must be disjoint."""
        together = sparse.csr_array(self.together + other.together)
        return Counts(together, self.images + other.images, self.rows + other.rows)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rules "`antecedent` implies `consequent`", sorted by both; all columns have the same length.

    `together` of the `images` with the antecedent had the consequent; `bound` is the lower confidence bound of
    that share. `vetoed` pairs were found and are not used.
    """

    antecedent: npt.NDArray[np.int32]
    consequent: npt.NDArray[np.int32]
    together: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]
    bound: npt.NDArray[np.float32]
    vetoed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.antecedent)

    @classmethod
    def none(cls) -> Self:
        """Return no pairs."""
        category, count = np.empty(0, np.int32), np.empty(0, np.int64)
        return cls(category, category, count, count, np.empty(0, np.float32), np.empty(0, np.bool_))

    def take(self, where: npt.NDArray[np.bool_]) -> Self:
        """Return the pairs where the mask is true."""
        return type(self)(*(getattr(self, field.name)[where] for field in fields(self)))

    @property
    def probability(self) -> npt.NDArray[np.float64]:
        """The share of the antecedent's images that had the consequent; float64[pairs]."""
        share: npt.NDArray[np.float64] = self.together / np.maximum(self.images, 1)
        return share

    def relation(self, n: int) -> sparse.csr_array:
        """Return int32[n, n]: at [antecedent, consequent] the position of the pair plus one; without vetoed pairs."""
        used = np.flatnonzero(~self.vetoed)
        made = sparse.csr_array(
            ((used + 1).astype(np.int32), (self.antecedent[used], self.consequent[used])), shape=(n, n)
        )
        made.sort_indices()
        return made


def wilson_bound(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float
) -> npt.NDArray[np.float64]:
    """Compute the lower bound of the one-sided score interval of a share at the given confidence; 0 without trials.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).

    >>> wilson_bound([10, 100, 0], [10, 100, 0], 0.95).round(3).tolist()
    [0.787, 0.974, 0.0]
    """
    z = float(special.ndtri(confidence))
    n = np.maximum(np.asarray(trials, np.float64), 1)
    share = np.asarray(successes, np.float64) / n
    centre = share + z * z / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    bound: npt.NDArray[np.float64] = np.maximum((centre - spread) / (1 + z * z / n), 0)
    return bound


def count_together(
    blocks: Iterable[Block], hierarchy: Hierarchy, *, related: bool = True, positives: bool = True
) -> Counts:
    """Count categories over all blocks. Memory: one block, its products, and the sum; small blocks stay in the cache.

    A category is present if it or a descendant is stated. In a block with predictions of a model, the other category
    is present if the model predicts it, else if it or a descendant is stated. Without `related`, images with a single
    stated category count as images of it and of what is above it, but not as pairs of these: that saves a fifth of
    the work if such pairs are left out anyway. Without `positives` only what is stated is present.
    """
    n = len(hierarchy)
    together, images, rows = sparse.csr_array((n, n), dtype=np.int64), np.zeros(n, np.int64), 0
    below = sparse.csr_array(hierarchy.down.astype(bool).astype(np.int64))
    for block in blocks:
        distinct, row = _told_apart(block.image)
        stated = _matrix(row, block.category, (len(distinct), n))
        rows += len(distinct)
        if not related and block.seen_image is None:
            alone = np.diff(stated.indptr) == 1
            counted = np.bincount(stated.indices[stated.indptr[:-1][alone]], minlength=n)
            images += counted + (below @ counted if positives else 0)
            stated = stated[~alone]
        present = _closed(stated, hierarchy) if positives else stated
        images += np.bincount(present.indices, minlength=n)
        other = present
        if block.seen_image is not None and block.seen_category is not None:
            at = np.minimum(np.searchsorted(distinct, block.seen_image), max(len(distinct) - 1, 0))
            known = distinct[at] == block.seen_image if len(distinct) else np.zeros(len(at), dtype=bool)
            known &= block.seen_category >= 0
            other = _matrix(at[known], block.seen_category[known], (len(distinct), n))
        together = sparse.csr_array(together + present.T.tocsr() @ other)
    together.sort_indices()
    return Counts(together, images, rows)


def _closed(stated: sparse.csr_array, hierarchy: Hierarchy) -> sparse.csr_array:
    """Return each row with the ancestors of its categories added."""
    row = np.repeat(np.arange(stated.shape[0]), np.diff(stated.indptr))
    up = expand(hierarchy.hops, stated.indices)
    column = np.concatenate([stated.indices, up.category])
    return _matrix(np.concatenate([row, row[up.origin]]), column, stated.shape)


def _told_apart(
    image: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct images, sorted, and the position of each image among them."""
    if not len(image) or (image[1:] < image[:-1]).any():
        return np.unique(image, return_inverse=True)
    first = np.append(True, image[1:] != image[:-1])
    return image[first], np.cumsum(first) - 1


def _matrix(
    row: npt.NDArray[np.int64], column: npt.NDArray[np.int32], shape: tuple[int, int]
) -> sparse.csr_array:
    """Return a matrix with an int32 one at each (row, column), however often it is given."""
    packed = row * np.int64(shape[1]) + column
    packed.sort(kind="stable")  # nearly sorted, which this sort exploits
    packed = packed[np.append(True, packed[1:] != packed[:-1])[: len(packed)]]
    row, column = np.divmod(packed, np.int64(max(shape[1], 1)))
    start = np.searchsorted(row, np.arange(shape[0] + 1)).astype(np.int32)
    ones = np.ones(len(packed), np.int32)
    return sparse.csr_array((ones, column.astype(np.int32), start), shape=shape)


def learn_pairs(
    counts: Counts,
    hierarchy: Hierarchy,
    *,
    min_probability: float,
    min_images: int,
    confidence: float = 0.95,
    skip_related: bool = True,
) -> Pairs:
    """Return the pairs whose share is at least `min_probability` even at the lower confidence bound.

    The antecedent must be in `min_images` images. With `skip_related`, pairs of which one is the other's
    ancestor, or that have a descendant in common, are left out: because of dogs, canines are often domestic
    animals, and wolves never are. Source: Wu et al., Tencent ML-Images (2019), which thresholds the plain share.
    """
    found = counts.together.tocoo()
    low, high = found.row.astype(np.int32), found.col.astype(np.int32)
    together, images = found.data.astype(np.int64), counts.images[low]
    bound = wilson_bound(together, images, confidence)
    kept = (low != high) & (images >= max(min_images, 1)) & (bound >= min_probability)
    if skip_related:
        kept[kept] = entries(_kin(hierarchy), low[kept], high[kept]) == 0
    chosen = np.flatnonzero(kept)
    chosen = chosen[np.lexsort((high[chosen], low[chosen]))]
    return Pairs(
        antecedent=low[chosen],
        consequent=high[chosen],
        together=together[chosen],
        images=images[chosen],
        bound=np.minimum(bound[chosen].astype(np.float32), LARGEST),
        vetoed=np.zeros(len(chosen), dtype=bool),
    )


def _kin(hierarchy: Hierarchy) -> sparse.csr_array:
    """Return bool[n, n], True at [i, j] if some category is i or below it, and j or below it."""
    up = sparse.csr_array(hierarchy.hops.astype(bool) + sparse.eye_array(len(hierarchy), dtype=bool))
    return sparse.csr_array(up.T.tocsr() @ up)


def without_implied(pairs: Pairs, hierarchy: Hierarchy, levels: int | None = None) -> Pairs:
    """Return the pairs except those whose consequent is an ancestor of another consequent of the antecedent.

    `levels` is how far up an added label implies (None: all the way, 0: nothing is implied). Vetoed pairs imply
    nothing, and stay listed.
    """
    n = np.int64(max(len(hierarchy), 1))
    key = pairs.antecedent * n + pairs.consequent
    covered = np.zeros(len(pairs), dtype=bool)
    while True:  # the first round keeps the most specific, the next removes what these imply, and so on
        used = np.flatnonzero(~pairs.vetoed & ~covered)
        above = expand(hierarchy.hops, pairs.consequent[used])
        near = np.ones(len(above.origin), bool) if levels is None else above.hops <= levels
        brought = pairs.antecedent[used][above.origin[near]] * n + above.category[near]
        now = ~pairs.vetoed & np.isin(key, brought)
        if np.array_equal(now, covered):
            return pairs.take(~covered)
        covered = now
