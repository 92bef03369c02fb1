"""Which statements of a source count: said here once, and asked by whoever reads them, before and after the facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.label_states import PRESENT

__all__ = ["StatementFilter"]

States = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """What a spec and the facts make of a source's statements.

    A statement counts whose confidence is `least` or more; that of an absence is 1. Once there is a vocabulary,
    `category_of` (int32[source categories]) has the category that each goes into, -1 where it is not used, and
    `narrower` (bool) says that it lies below it, so that its absence says nothing of it.

    >>> rule = StatementFilter(0.5, np.array([7, -1, 7]), np.array([False, False, True]))
    >>> rule.counts(np.array([0, 0, 1, 2, 2]), np.array([1, 1, 1, 1, -1]), np.array([0.4, 0.6, 1, 1, 1])).tolist()
    [False, True, False, True, False]
    """

    least: float
    category_of: npt.NDArray[np.int32] | None = None
    narrower: Flags | None = None

    def above_threshold(self, confidence: Floats) -> Flags:
        """bool[statements]: those that are not below `least`."""
        found: Flags = confidence >= self.least
        return found

    def present(self, state: States, confidence: Floats) -> Flags:
        """bool[statements]: the presences among those that are not below `least`."""
        found: Flags = (state == PRESENT) & (confidence >= self.least)
        return found

    def counts(self, category: npt.NDArray[np.integer[Any]], state: States, confidence: Floats) -> Flags:
        """bool[statements]: those that say something of the vocabulary; `category` is the source's own."""
        found = self.above_threshold(confidence)
        if self.category_of is not None:
            found &= (self.category_of >= 0)[category]
        if self.narrower is not None and self.narrower.any():
            found &= (state == PRESENT) | ~self.narrower[category]
        return found
