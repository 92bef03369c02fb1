"""Find some images of source categories, for people who decide what a category means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.statement_filter import StatementFilter
from mlimg_build.sources.protocol import WHOLE_FILE

__all__ = ["ImagePlace", "example_images"]

BLOCK = 1 << 18  # statements looked at together
COLUMNS = ["key", "name", "path", "offset", "size", "status"]


@dataclass(frozen=True, slots=True)
class ImagePlace:
    """Where an image of a source lies: `path` below the source's folder, and its bytes in a tar."""

    source: str
    name: str
    path: str
    offset: int
    size: int

    @property
    def in_words(self) -> str:
        """The path, with the place in a tar."""
        return self.path if self.offset == WHOLE_FILE else f"{self.path} at byte {self.offset:,}"


def example_images(
    catalog: Catalog, categories: Collection[int], count: int, least: float
) -> dict[int, list[ImagePlace]]:
    """Return up to `count` images of each category number in which a source states it present, in the order of keys.

    The keys are hashes of the ids, so the images are a sample, and the same every time. Images that are not there are
    left out. `least` is the lowest confidence that counts.
    """
    keys = _keys(catalog, categories, count, least)
    wanted = np.unique(np.array([key for found in keys.values() for key in found], dtype=np.uint64))
    places: dict[int, ImagePlace] = {}
    for batch in catalog.images.batches(COLUMNS):
        inside = np.flatnonzero(np.isin(batch.column("key").to_numpy(), wanted))
        for row in batch.take(inside).to_pylist():
            if not row["status"]:
                places[row["key"]] = ImagePlace(
                    catalog.name, row["name"], row["path"], row["offset"], row["size"]
                )
    return {number: [places[key] for key in found if key in places] for number, found in keys.items()}


def _keys(
    catalog: Catalog, categories: Collection[int], count: int, least: float
) -> dict[int, Sequence[int]]:
    found: dict[int, list[int]] = {number: [] for number in categories}
    for start in range(0, len(catalog.statements), BLOCK):
        missing = [number for number, keys in found.items() if len(keys) < count]
        if not missing:
            break
        block = catalog.statements.slice(start, min(BLOCK, len(catalog.statements) - start))
        columns = {name: block.column(name).to_numpy() for name in ("key", "category", "state", "confidence")}
        present = StatementFilter(least).present(columns["state"], columns["confidence"])
        present &= np.isin(columns["category"], missing)
        pairs = zip(columns["category"][present].tolist(), columns["key"][present].tolist(), strict=True)
        for number, key in pairs:
            if len(found[number]) < count and key not in found[number]:
                found[number].append(key)
    return {number: tuple(keys) for number, keys in found.items()}
