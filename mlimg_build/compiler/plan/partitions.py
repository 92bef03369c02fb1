"""Partition the key range, to process the images of all sources in key order without loading them all.

Catalogs are sorted by key, so a partition is one slice of each; the slices are mapped from disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.compiler.catalog.arrow_tables import StoredTable
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.catalog.statement_filter import StatementFilter
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.labels import Statements, narrowed
from mlimg_build.sources import DRAWN
from mlimg_build.spec import SPLITS, Spec

__all__ = ["Cuts", "Part", "View", "cut", "ranges", "slice_of", "views"]


@dataclass(frozen=True, slots=True)
class View:
    """A catalog with the rules of the spec and the facts for its statements and images.

    `category[c]` is the category of the vocabulary that the source's category c maps to (-1: none), `mapping[c]` its
    row of the mappings; `rule` decides which statements count. `split` is a position in `SPLITS` for all images, or
    `DRAWN`: each is in the split that its source gives it, else it is drawn: validation if its draw is below `limit`,
    otherwise train.
    """

    catalog: Catalog
    number: int
    category: npt.NDArray[np.int32]
    mapping: npt.NDArray[np.int32]
    rule: StatementFilter
    split: int
    limit: np.uint64

    def splits(self, images: pa.Table) -> npt.NDArray[np.int8]:
        """Return int8[images]: the split of each image, a position in `SPLITS`."""
        if self.split != DRAWN:
            return np.full(len(images), self.split, np.int8)
        own = images.column("split").to_numpy()
        drawn = images.column("draw").to_numpy() < self.limit
        found: npt.NDArray[np.int8] = np.where(own == DRAWN, drawn, own).astype(np.int8)
        return found


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where the key range is divided: block b of source s has the images from `images[s, b]` to `images[s, b + 1]`.

    `statements` has the same for the statements; int64[sources, blocks + 1] each.
    """

    images: npt.NDArray[np.int64]
    statements: npt.NDArray[np.int64]

    @property
    def blocks(self) -> int:
        return int(self.images.shape[1]) - 1


@dataclass(frozen=True, slots=True)
class Part:
    """The images of one source in one partition, or some of them, with the statements that count.

    `statements` has `said[i]` statements about image i; its image numbers count from the part's first image. `at` are
    the images' positions in `images`; `below` counts the statements below the source's `min_confidence`.
    """

    images: pa.Table
    keys: npt.NDArray[np.uint64]
    splits: npt.NDArray[np.int8]
    at: npt.NDArray[np.int64]
    said: npt.NDArray[np.int64]
    statements: Statements
    below: int

    @classmethod
    def read(cls, view: View, cuts: Cuts, first: int, last: int, split: int | None = None) -> Part:
        """Return the part of a source in the blocks `first` to `last` (exclusive), of one split or of all."""
        images = slice_of(view.catalog.images, cuts.images[view.number], first, last)
        statements = slice_of(view.catalog.statements, cuts.statements[view.number], first, last)
        keys, splits = images.column("key").to_numpy(), view.splits(images)
        start = _starts(keys, statements.column("key").to_numpy())
        count = np.diff(start, append=len(statements))
        said = [statements.column(name).to_numpy() for name in ("category", "state", "confidence", "record")]
        at = np.arange(len(keys))
        if split is not None and not (splits == split).all():
            at = np.flatnonzero(splits == split)
            where = ranges(start[at], count[at])
            said = [column[where] for column in said]
            keys, splits, count = keys[at], splits[at], count[at]
        image = np.repeat(np.arange(len(at)), count)
        number, state, confidence, record = said
        kept = view.rule.counts(number, state, confidence)
        below = len(confidence) - int(np.count_nonzero(view.rule.above_threshold(confidence)))
        if not kept.all():
            number, state, confidence, record, image = (
                column[kept] for column in (number, state, confidence, record, image)
            )
            count = np.bincount(image, minlength=len(at))
        counted = Statements(
            image, view.category[number], state, narrowed(confidence), view.mapping[number], record
        )
        return cls(images, keys, splits, at, count, counted, below)

    def of(self, chosen: npt.NDArray[np.bool_]) -> Part:
        """Return the part of the chosen images (bool[images]), with all their statements."""
        if chosen.all():
            return self
        turn = np.cumsum(chosen) - 1
        said = self.statements.take(chosen[self.statements.image])
        said = Statements(turn[said.image], *(getattr(said, name) for name in said.__slots__[1:]))
        return Part(
            self.images,
            self.keys[chosen],
            self.splits[chosen],
            self.at[chosen],
            self.said[chosen],
            said,
            self.below,
        )


def views(spec: Spec, catalogs: Sequence[Catalog], facts: Facts) -> list[View]:
    """Return each catalog with the rules of the spec and the facts."""
    category_of = facts.vocabulary.category_of
    limit = np.uint64(int(spec.split.validation * 2.0**64))
    found = []
    for number, (catalog, position) in enumerate(zip(catalogs, facts.positions, strict=True)):
        part = spec.sources[catalog.name]
        category = np.where(position >= 0, category_of[position], np.int32(-1))
        split = DRAWN if part.split == "auto" else SPLITS.index(part.split)
        narrower = (position >= 0) & facts.vocabulary.narrower[position]
        rule = StatementFilter(part.min_confidence, category, narrower)
        found.append(View(catalog, number, category, position, rule, split, limit))
    return found


def cut(catalogs: Sequence[Catalog], block: int) -> Cuts:
    """Divide the key range at evenly spaced keys, into blocks of about `block` images of all sources together."""
    total = sum(len(catalog.images) for catalog in catalogs)
    count = max(1, -(-total // block))
    keys = np.array([(i << 64) // count for i in range(count)], dtype=np.uint64)
    return Cuts(
        np.stack([_positions(catalog.images, keys) for catalog in catalogs]),
        np.stack([_positions(catalog.statements, keys) for catalog in catalogs]),
    )


def ranges(start: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the numbers `start[i]`, `start[i] + 1`, … (`count[i]` of them) for each i, one after the other.

    >>> ranges(np.array([5, 0]), np.array([2, 1])).tolist()
    [5, 6, 0]
    """
    before = np.cumsum(count) - count
    return np.repeat(start - before, count) + np.arange(count.sum())


def slice_of(table: StoredTable, positions: npt.NDArray[np.int64], first: int, last: int) -> pa.Table:
    """Return the rows of a catalog's table in the blocks `first` to `last` (exclusive), given the blocks' starts."""
    return table.slice(int(positions[first]), int(positions[last] - positions[first]))


def _positions(table: StoredTable, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the position of the first row at or above each key, and the length of the table."""
    found = np.zeros(len(keys), np.int64)
    for chunk in table.chunks("key"):
        found += np.searchsorted(chunk.to_numpy(), keys)
    return np.append(found, len(table))


def _starts(images: npt.NDArray[np.uint64], statements: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return where the statements about each image begin; both are sorted keys, and every statement has its image."""
    change = np.ones(len(statements), dtype=bool)
    np.not_equal(statements[1:], statements[:-1], out=change[1:])
    begin = np.flatnonzero(change)
    if len(begin) == len(images):  # every image has statements: no need to search
        return begin
    return np.searchsorted(statements, images).astype(np.int64)
