"""Count which categories of a source occur on the same images, as evidence for what a name means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.compiler.catalog.blocks import statement_blocks
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.statement_filter import StatementFilter
from mlimg_build.compiler.engine.cache import Key, Store

__all__ = ["colabels"]

FORMAT = 1
MOST = 40  # other categories that are kept for each
FEWEST = 3  # the least images that two categories share

Category = tuple[str, str]


def colabels(
    catalog: Catalog, min_confidence: float, store: Store | None
) -> Mapping[Category, Sequence[tuple[Category, int]]]:
    """Return (source, category id) → the categories most often present on the same images, each with their number.

    The counts of a catalog are cached in `store`. Memory: a block of statements and the counts.
    """
    key = Key("colabels", FORMAT, {"catalog": catalog.digest, "min_confidence": min_confidence})
    if store is None or not store.sound(key):
        counted = _most(_count(catalog, min_confidence))
        if store is not None:
            with store.create(key) as (folder, _):
                np.save(folder / "colabels.npy", counted)
    else:
        counted = np.load(store.path(key) / "colabels.npy", allow_pickle=False)
    found: dict[Category, list[tuple[Category, int]]] = {}
    ids = [category.id for category in catalog.categories]
    for one, other, count in counted.tolist():
        found.setdefault((catalog.name, ids[one]), []).append(((catalog.name, ids[other]), count))
    return found


def _count(catalog: Catalog, min_confidence: float) -> sparse.csr_array:
    """Return int64[categories, categories]: the number of images for which both are stated present."""
    n = len(catalog.categories)
    total = sparse.csr_array((n, n), dtype=np.int64)
    for image, category in _present(catalog, min_confidence):
        _, row = np.unique(image, return_inverse=True)
        ones = np.ones(len(row), np.int64)
        stated = sparse.csr_array((ones, (row, category)), shape=(int(row.max(initial=-1)) + 1, n))
        stated.sum_duplicates()
        stated.data[:] = 1
        total = sparse.csr_array(total + stated.T @ stated)
    return total


def _present(
    catalog: Catalog, min_confidence: float
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]]:
    for block in statement_blocks(catalog):
        kept = StatementFilter(min_confidence).present(block.state, block.confidence)
        yield block.key[kept], block.category[kept]


def _most(counts: sparse.csr_array) -> npt.NDArray[np.int64]:
    """Return int64[m, 3] (category, other, images): the `MOST` frequent others of each category, ties by number."""
    found = counts.tocoo()
    one, other, count = found.row.astype(np.int64), found.col.astype(np.int64), found.data.astype(np.int64)
    kept = (one != other) & (count >= FEWEST)
    one, other, count = one[kept], other[kept], count[kept]
    order = np.lexsort((other, -count, one))
    one, other, count = one[order], other[order], count[order]
    first = np.searchsorted(one, one)
    chosen = np.arange(len(one)) - first < MOST
    return np.stack([one[chosen], other[chosen], count[chosen]], axis=1).astype("<i8")
