"""Statements of a catalog in blocks of whole images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlimg_build.build.catalog import Catalog

__all__ = ["statement_blocks"]

BLOCK = 1 << 21


def statement_blocks(
    catalog: Catalog, size: int = BLOCK
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.float32]]]:
    """(image key, source category, confidence) of about `size` statements at a time; no image is cut in two."""
    start, rows = 0, len(catalog.statements)
    while start < rows:
        part = catalog.statements.slice(start, size)
        key = part.column("key").to_numpy()
        if start + size < rows:  # the last image of the piece may go on in the next one
            whole = int(np.searchsorted(key, key[-1])) or len(key)
            part, key = part.slice(0, whole), key[:whole]
        start += len(key)
        yield key, part.column("category").to_numpy(), part.column("confidence").to_numpy()
