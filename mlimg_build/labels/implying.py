"""From what is stated to what follows: presence goes up the hierarchy, absence down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.expanding import expand
from mlimg_build.labels.hierarchy import Hierarchy
from mlimg_build.labels.statements import ABSENT, PRESENT, Statements

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


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The labels of images, sorted by image and category, at most one for each; unknown is not stored.

    `state` is +1 present, -1 verified absent. `rule` is a position in `RULES`, `via` the stated category that
    the label came through (itself where stated), `mapping` and `record` the statement that it rests on.
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
        """The number of labels of each image; int64[images]."""
        return np.bincount(self.image, minlength=images).astype(np.int64)


def imply(
    statements: Statements,
    hierarchy: Hierarchy,
    *,
    positives: bool = True,
    negatives: bool = True,
    machine_levels: int | None = None,
) -> LabelTable:
    """Every stated label and what it implies; the statements must be settled.

    A presence implies every ancestor, an absence every descendant, with the confidence of the statement. A
    machine's presence (confidence below 1) implies ancestors up to `machine_levels` hops away; None is all of
    them, 0 none, 1 (the parents only) imitates the published ML-Images. Where several statements give one
    label, the most confident wins, then the nearest, then the lowest category, source category and record, so
    that the order of rows changes nothing, and the order of sources nothing but which of equals is named.
    """
    position = np.arange(len(statements))
    parts = [(position, statements.category, np.zeros(len(statements), np.int32), STATED)]
    if positives:
        parts.append(_reach(statements, hierarchy, PRESENT, ANCESTORS, machine_levels))
    if negatives:
        parts.append(_reach(statements, hierarchy, ABSENT, DESCENDANTS, None))
    origin = np.concatenate([part[0] for part in parts])
    category = np.concatenate([part[1] for part in parts])
    hops = np.concatenate([part[2] for part in parts])
    rule = np.concatenate([np.full(len(part[0]), part[3], np.uint8) for part in parts])
    via = statements.category[origin]
    key = statements.image[origin] * np.int64(max(len(hierarchy), 1)) + category
    won = _first(key, _precedence(statements, origin, hops))
    origin = origin[won]
    return LabelTable(
        image=statements.image[origin],
        category=category[won],
        state=statements.state[origin],
        confidence=statements.confidence[origin],
        rule=rule[won],
        via=via[won],
        mapping=statements.mapping[origin],
        record=statements.record[origin],
    )


def _reach(
    statements: Statements, hierarchy: Hierarchy, state: int, rule: int, machine_levels: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int32], int]:
    """What the statements of one state imply: their positions, the categories reached, the hops, the rule."""
    start = np.flatnonzero(statements.state == state)
    reached = expand(hierarchy.hops if state == PRESENT else hierarchy.down, statements.category[start])
    origin = start[reached.origin]
    if machine_levels is None or state == ABSENT:
        return origin, reached.category, reached.hops, rule
    near = statements.verified[origin] | (reached.hops <= machine_levels)
    return origin[near], reached.category[near], reached.hops[near], rule


def _precedence(
    statements: Statements, origin: npt.NDArray[np.int64], hops: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """A number for each label, lowest first: by confidence, hops, category, source category and record."""
    order = np.lexsort((statements.record, statements.mapping, statements.category))
    turn = np.empty(len(order), dtype=np.int64)
    turn[order] = np.arange(len(order))
    _, doubt = np.unique(-statements.confidence, return_inverse=True)
    farthest = int(hops.max(initial=0)) + 1
    ranked: npt.NDArray[np.int64] = (doubt[origin] * farthest + hops) * len(statements) + turn[origin]
    return ranked


def _first(key: npt.NDArray[np.int64], precedence: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of the positions of each key the one of lowest precedence; sorted by key.

    >>> _first(np.array([7, 5, 7]), np.array([2, 9, 1])).tolist()
    [1, 2]
    """
    order = np.argsort(key, kind="stable")  # the parts are all but sorted, which this sort exploits
    key, precedence = key[order], precedence[order]
    start = np.flatnonzero(np.diff(key, prepend=-1))
    lowest = np.minimum.reduceat(precedence, start)
    won: npt.NDArray[np.int64] = order[precedence == np.repeat(lowest, np.diff(start, append=len(key)))]
    return won
