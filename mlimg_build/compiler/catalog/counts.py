"""Count the statements of the sources and their images by category, block by block, in threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.catalog.blocks import cuts
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.statement_filter import StatementFilter
from mlimg_build.compiler.engine.threads import in_threads

__all__ = ["count_groups", "count_present", "count_stated"]

BLOCK = 1 << 20  # statements


@dataclass(frozen=True, slots=True)
class _Block:
    """A range of a catalog's statements that covers whole images."""

    catalog: Catalog
    start: int
    stop: int

    def column(self, name: str) -> npt.NDArray[Any]:
        found: npt.NDArray[Any] = (
            self.catalog.statements.slice(self.start, self.stop - self.start).column(name).to_numpy()
        )
        return found

    def present(self, min_confidence: float) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """Return the (key, category) of the presences whose confidence is at least `min_confidence`."""
        sure = StatementFilter(min_confidence).present(self.column("state"), self.column("confidence"))
        key, category = self.column("key"), self.column("category")
        return (key, category) if sure.all() else (key[sure], category[sure])


def count_present(catalog: Catalog, min_confidence: float) -> npt.NDArray[np.int64]:
    """Return int64[categories]: the number of images in which a source states each of its categories present."""
    n = len(catalog.categories)

    def count(block: _Block) -> npt.NDArray[np.int64]:
        key, category = block.present(min_confidence)
        again = (key[1:] == key[:-1]) & (category[1:] == category[:-1])  # sorted, so repeats are neighbours
        return np.bincount(category, minlength=n) - np.bincount(category[1:][again], minlength=n)

    return _sum(in_threads(count, _blocks(catalog)), n)


def count_stated(catalog: Catalog) -> npt.NDArray[np.int64]:
    """Return int64[categories]: the number of statements of a source about each category, present or absent."""
    n = len(catalog.categories)
    found = in_threads(lambda block: np.bincount(block.column("category"), minlength=n), _blocks(catalog))
    return _sum(found, n)


def count_groups(
    catalogs: Sequence[Catalog],
    positions: Sequence[npt.NDArray[np.int32]],
    least: Sequence[float],
    group: npt.NDArray[np.int32],
) -> npt.NDArray[np.int64]:
    """Return int64[groups]: the number of images with at least one source category of the group stated present.

    `group` has the group of every source category (-1: none), `positions[s]` the source category of each category of
    source s, `least[s]` the lowest confidence that counts. No image is in two sources, and the statements about it
    are adjacent, so repeated (image, group) pairs are found within a block.
    """
    n = int(group.max(initial=-1)) + 1
    total = np.zeros(n, np.int64)
    for catalog, position, confidence in zip(catalogs, positions, least, strict=True):
        of = np.where(position >= 0, group[position], np.int32(-1)) if len(group) else position

        def count(
            block: _Block, of: npt.NDArray[np.int32] = of, confidence: float = confidence
        ) -> npt.NDArray[np.int64]:
            key, category = block.present(confidence)
            found = of[category]
            return np.bincount(found[found >= 0], minlength=n) - _again(key, found, n)

        total += _sum(in_threads(count, _blocks(catalog)), n)
    return total


def _again(key: npt.NDArray[np.uint64], group: npt.NDArray[np.int32], n: int) -> npt.NDArray[np.int64]:
    """Return int64[n]: how many statements of each group repeat an (image, group) pair."""
    same = key[1:] == key[:-1]
    several = np.flatnonzero(np.append(same, False) | np.append(False, same) if len(key) else same)
    image = np.cumsum(np.append(True, key[several][1:] != key[several][:-1])) if len(several) else several
    pairs = (image * np.int64(n) + group[several])[group[several] >= 0]
    pairs.sort(kind="stable")  # fast, because the pairs are nearly sorted
    return np.bincount(pairs[1:][pairs[1:] == pairs[:-1]] % max(n, 1), minlength=n)


def _blocks(catalog: Catalog) -> Iterator[_Block]:
    """Yield the statements of a catalog in blocks of whole images."""
    return (_Block(catalog, start, stop) for start, stop in cuts(catalog, BLOCK))


def _sum(found: Iterator[npt.NDArray[np.int64]], n: int) -> npt.NDArray[np.int64]:
    total = np.zeros(n, np.int64)
    for counts in found:
        total += counts
    return total
