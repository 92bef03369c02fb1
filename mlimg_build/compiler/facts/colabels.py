"""Which categories of a source stand beside which on its images: evidence for what a name means."""

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
MOST = 40  # other categories of the same images that are told of each
FEWEST = 3  # images that two categories share at least

Category = tuple[str, str]


def colabels(
    catalog: Catalog, min_confidence: float, store: Store | None
) -> Mapping[Category, Sequence[tuple[Category, int]]]:
    """(source, category id) → the categories most often present on the same images, each with their number.

    Counted once for a catalog and kept in `store`. Memory: a block of statements and the counts.
    """
    key = Key("colabels", FORMAT, {"catalog": catalog.digest, "min_confidence": min_confidence})
    if store is None or not store.has(key):
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
    """int64[categories, categories]: the images that state both present."""
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
    """int64[m, 3]: category, other, images: the `MOST` frequent others of each category, ties by number."""
    found = counts.tocoo()
    one, other, count = found.row.astype(np.int64), found.col.astype(np.int64), found.data.astype(np.int64)
    kept = (one != other) & (count >= FEWEST)
    one, other, count = one[kept], other[kept], count[kept]
    order = np.lexsort((other, -count, one))
    one, other, count = one[order], other[order], count[order]
    first = np.searchsorted(one, one)
    chosen = np.arange(len(one)) - first < MOST
    return np.stack([one[chosen], other[chosen], count[chosen]], axis=1).astype("<i8")
