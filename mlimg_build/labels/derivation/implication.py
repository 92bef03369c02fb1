"""Implication: presence is passed up the hierarchy, absence down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.derivation.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import expand

__all__ = [
    "ANCESTORS",
    "COOCCURRENCE",
    "COOCCURRENCE_ANCESTORS",
    "DESCENDANTS",
    "RULES",
    "STATED",
    "LabelTable",
    "imply",
]

RULES = ("stated", "ancestors", "descendants", "cooccurrence", "cooccurrence_ancestors")
STATED, ANCESTORS, DESCENDANTS, COOCCURRENCE, COOCCURRENCE_ANCESTORS = range(5)
WIDEST = 63  # bits of a non-negative int64


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of images, sorted by image and category, at most one for each; unknown is not stored.

    `state` is +1 present, -1 verified absent. `rule` is a position in `RULES`, `via` the category that the label
    came through (itself if stated), `mapping` and `record` the statement that it rests on.
    """

    image: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    state: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.float32]
    rule: npt.NDArray[np.uint8]
    via: npt.NDArray[np.int32]
    mapping: npt.NDArray[np.int32]
    record: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image)

    def counts(self, images: int) -> npt.NDArray[np.int64]:
        """Return the number of labels of each image; int64[images]."""
        return np.bincount(self.image, minlength=images).astype(np.int64)


def imply(
    statements: Statements,
    hierarchy: Hierarchy,
    *,
    positives: bool = True,
    negatives: bool = True,
    machine_levels: int | None = None,
    strongest: bool = True,
) -> LabelTable:
    """Return every stated label and what it implies; contradictions must be resolved before.

    A presence implies every ancestor, an absence every descendant, with the confidence of the statement. A
    machine's presence (confidence below 1) implies ancestors up to `machine_levels` hops away; None is all of
    them, 0 none, 1 (the parents only) imitates the published ML-Images. If several statements give one label, the
    most confident wins, then the nearest, then the lowest category, source category and record, so that the order
    of rows changes nothing, and the order of sources only which of equal ones is named. Without `strongest` the
    lowest record wins, and only within one record the most confident statement: the first statement is kept, as in
    the published ML-Images.
    """
    position = np.arange(len(statements))
    parts = [(position, statements.category, np.zeros(len(statements), np.int32))]
    if positives:
        parts.append(_reach(statements, hierarchy, PRESENT, machine_levels))
    if negatives:
        parts.append(_reach(statements, hierarchy, ABSENT, None))
    origin, category, hops = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    image, category, origin, hops = _first(statements, origin, category, hops, len(hierarchy), strongest)
    state = statements.state[origin]
    implied = np.where(state == PRESENT, np.uint8(ANCESTORS), np.uint8(DESCENDANTS))
    return LabelTable(
        image=image,
        category=category,
        state=state,
        confidence=statements.confidence[origin],
        rule=np.where(hops == 0, np.uint8(STATED), implied),
        via=statements.category[origin],
        mapping=statements.mapping[origin],
        record=statements.record[origin],
    )


def _reach(
    statements: Statements, hierarchy: Hierarchy, state: int, machine_levels: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return what the statements of one state imply: their positions, the categories reached, the hops."""
    start = np.flatnonzero(statements.state == state)
    reached = expand(hierarchy.hops if state == PRESENT else hierarchy.down, statements.category[start])
    origin = start[reached.origin]
    if machine_levels is None or state == ABSENT:
        return origin, reached.category, reached.hops
    near = statements.verified[origin] | (reached.hops <= machine_levels)
    return origin[near], reached.category[near], reached.hops[near]


def _first(
    statements: Statements,
    origin: npt.NDArray[np.int64],
    category: npt.NDArray[np.int32],
    hops: npt.NDArray[np.int32],
    categories: int,
    strongest: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return the label that wins of each (image, category), sorted: image, category, position of the statement, hops.

    The criteria are packed into one number per label (image, category, doubt, hops, rank of the statement, from the
    upper bits down): numpy sorts numbers ten times as fast as their positions, and the winners are read from them.
    """
    doubts, doubt = _ranks(-statements.confidence)
    if not strongest:  # within one record the most confident
        _, record = _ranks(statements.record)
        doubts, doubt = _ranks(record * np.int64(doubts) + doubt)
    order = _turns(statements, doubt, categories)
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order))
    lowest = int(statements.image.min(initial=0))
    images = int(statements.image.max(initial=0)) - lowest + 1
    widths = [_bits(count) for count in (categories, doubts, int(hops.max(initial=0)) + 1, len(statements))]
    if _bits(images) + sum(widths) > WIDEST:
        return _halved(statements, origin, category, hops, categories, strongest)
    image = (statements.image - lowest)[origin]
    packed = _pack([image, category, doubt[origin], hops, turn[origin]], widths)
    packed.sort(kind="stable")  # nearly sorted, which this sort exploits
    below = sum(widths[1:])
    key = packed >> below
    won = packed[np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]]
    origin = order[won & ((1 << widths[3]) - 1)]
    hops = ((won >> widths[3]) & ((1 << widths[2]) - 1)).astype(np.int32)
    category = ((won >> below) & ((1 << widths[0]) - 1)).astype(np.int32)
    return statements.image[origin], category, origin, hops


def _halved(
    statements: Statements,
    origin: npt.NDArray[np.int64],
    category: npt.NDArray[np.int32],
    hops: npt.NDArray[np.int32],
    categories: int,
    strongest: bool,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return `_first` of the lower and of the upper half of the images, if not all of them fit into a number."""
    images = statements.image
    middle = int(np.searchsorted(images, images[len(images) // 2]))
    if middle == 0:  # that image is the first of the statements
        middle = int(np.searchsorted(images, images[0], side="right"))
    if middle == len(images):
        raise OverflowError(f"{len(images)} statements about one image are more than can be told apart")
    found = []
    for start, stop in ((0, middle), (middle, len(images))):
        here = (origin >= start) & (origin < stop)
        some = statements.take(np.arange(start, stop))
        image, reached, won, far = _first(
            some, origin[here] - start, category[here], hops[here], categories, strongest
        )
        found.append((image, reached, won + start, far))
    image, category, origin, hops = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return image, category, origin, hops


def _ranks(values: npt.NDArray[Any]) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the number of distinct values, and the rank of each, 0 for the lowest."""
    if len(values) and (values == values[0]).all():
        return 1, np.zeros(len(values), np.int64)
    distinct = np.unique(values)
    return len(distinct), np.searchsorted(distinct, values)


def _turns(statements: Statements, doubt: npt.NDArray[np.int64], categories: int) -> npt.NDArray[np.int64]:
    """Return the order of the statements by image, category, source category and record."""
    mappings = int(statements.mapping.max(initial=0)) + 1
    lowest = int(statements.image.min(initial=0))
    images = int(statements.image.max(initial=0)) - lowest + 1
    widths = [_bits(count) for count in (categories, mappings, int(doubt.max(initial=0)) + 1, len(doubt))]
    if _bits(images) + sum(widths) <= WIDEST and int(statements.mapping.min(initial=0)) >= 0:
        image, position = statements.image - lowest, np.arange(len(doubt))
        packed = _pack([image, statements.category, statements.mapping, doubt, position], widths)
        packed.sort(kind="stable")  # nearly sorted, which this sort exploits
        key = packed >> widths[3]
        if (key[1:] != key[:-1]).all():  # otherwise records decide
            order: npt.NDArray[np.int64] = packed & ((1 << widths[3]) - 1)
            return order
    return np.lexsort((statements.record, statements.mapping, statements.category, statements.image))


def _pack(columns: Sequence[npt.NDArray[np.integer]], widths: Sequence[int]) -> npt.NDArray[np.int64]:
    """Pack each row into one number, the first column in the upper bits; `widths` are the bits of the others."""
    packed = columns[0].astype(np.int64)
    for column, width in zip(columns[1:], widths, strict=True):
        packed <<= width
        packed |= column
    return packed


def _bits(count: int) -> int:
    """Return the bits that distinguish `count` values."""
    return max(count - 1, 0).bit_length()
