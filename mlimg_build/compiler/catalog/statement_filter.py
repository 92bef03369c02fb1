"""Decide which statements of a source count, for all readers, before and after the facts are decided."""

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
    """The rules of a spec and its facts on which statements of a source count.

    A statement counts if its confidence is at least `least`; that of an absence is 1. Once there is a vocabulary,
    `category_of` (int32[source categories]) has the category that each maps to, -1 where it is not used, and
    `narrower` (bool) marks source categories below the one they map to, whose absence implies nothing about it.

    >>> rule = StatementFilter(0.5, np.array([7, -1, 7]), np.array([False, False, True]))
    >>> rule.counts(np.array([0, 0, 1, 2, 2]), np.array([1, 1, 1, 1, -1]), np.array([0.4, 0.6, 1, 1, 1])).tolist()
    [False, True, False, True, False]
    """

    least: float
    category_of: npt.NDArray[np.int32] | None = None
    narrower: Flags | None = None

    def above_threshold(self, confidence: Floats) -> Flags:
        """Return bool[statements]: whether the confidence is at least `least`."""
        found: Flags = confidence >= self.least
        return found

    def present(self, state: States, confidence: Floats) -> Flags:
        """Return bool[statements]: whether it is a presence with a confidence of at least `least`."""
        found: Flags = (state == PRESENT) & (confidence >= self.least)
        return found

    def counts(self, category: npt.NDArray[np.integer[Any]], state: States, confidence: Floats) -> Flags:
        """Return bool[statements]: whether it counts for the vocabulary; `category` is the source's own."""
        found = self.above_threshold(confidence)
        if self.category_of is not None:
            found &= (self.category_of >= 0)[category]
        if self.narrower is not None and self.narrower.any():
            found &= (state == PRESENT) | ~self.narrower[category]
        return found
