"""Read the statements of a catalog in blocks of whole images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.catalog.catalog import Catalog

__all__ = ["StatementBlock", "cuts", "statement_blocks"]

BLOCK = 1 << 21
LOOKED = 64  # statements that are read at a time to find where an image's end


class StatementBlock(NamedTuple):
    """Columns of n statements about whole images: image key, source category, state and confidence."""

    key: npt.NDArray[np.uint64]
    category: npt.NDArray[np.int32]
    state: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.float64]


def cuts(catalog: Catalog, size: int, first: int = 0, last: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield the (start, stop) of blocks of `size` statements, or a few more: no image is in two blocks.

    The statements from `first` to `last` (exclusive) are divided; no image may lie on both sides of either.
    """
    start, total = first, len(catalog.statements) if last is None else last
    while start < total:
        stop = start + size
        while stop < total:
            keys = catalog.statements.slice(stop - 1, LOOKED).column("key").to_numpy()
            if (other := np.flatnonzero(keys != keys[0])).size:
                stop += int(other[0]) - 1
                break
            stop += len(keys) - 1 or 1
        stop = min(stop, total)
        yield start, stop
        start = stop


def statement_blocks(
    catalog: Catalog, size: int = BLOCK, first: int = 0, last: int | None = None
) -> Iterator[StatementBlock]:
    """Yield the statements of whole images, about `size` at a time; see `cuts`."""
    for start, stop in cuts(catalog, size, first, last):
        part = catalog.statements.slice(start, stop - start)
        yield StatementBlock(*(part.column(name).to_numpy() for name in StatementBlock._fields))
