"""Contradictions: a category is stated absent from an image, and it or something below it is stated present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.derivation.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import expand

__all__ = ["Contradictions", "Policy", "resolve_contradictions"]

Policy = Literal["prefer_verified", "drop", "error"]


@dataclass(frozen=True, slots=True)
class Contradictions:
    """Pairs of statements that cannot both be true: positions into the statements that were given.

    Sorted by image, absent category, present category, then source category and record of both, then falling
    confidence. `kept` is +1 if the presence is kept, -1 if the absence is kept, 0 if neither is.
    """

    absent: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.absent)


def resolve_contradictions(
    statements: Statements, hierarchy: Hierarchy, policy: Policy
) -> tuple[Statements, Contradictions]:
    """Return the statements that are kept, and the contradictions that removed the others.

    A statement that *a* is absent contradicts a statement that *p* is present in the same image if *a* is *p* or
    an ancestor of *p*. Statements are resolved, not labels, so what remains can be implied without a conflict.
    Under `prefer_verified` people override machines, and if people disagree the presence is kept: it was seen. An
    absence refuted in this way refutes nothing itself. `drop` keeps neither; `error` marks pairs like `drop`, and
    the caller stops.
    """
    absent, present = _clashes(statements, hierarchy)
    if not len(absent):
        return statements, Contradictions(absent, present, np.zeros(0, np.int8))
    verified = statements.verified
    refuted = np.zeros(len(statements), dtype=bool)
    kept = np.zeros(len(absent), dtype=np.int8)
    if policy == "prefer_verified":
        refuted[absent[verified[present]]] = True
        kept = np.where(refuted[absent], PRESENT, ABSENT).astype(np.int8)
        refuted[present[kept == ABSENT]] = True
    else:
        refuted[absent] = True
        refuted[present] = True
    return statements.take(~refuted), Contradictions(absent, present, kept)


def _clashes(
    statements: Statements, hierarchy: Hierarchy
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return every absence and presence in one image in which the absent category is the present one or above it."""
    absences = np.flatnonzero(statements.state == ABSENT)
    presences = np.flatnonzero(statements.state == PRESENT)
    presences = presences[np.isin(statements.image[presences], statements.image[absences])]
    n = np.int64(max(len(hierarchy), 1))
    up = expand(hierarchy.hops, statements.category[presences])
    at = np.concatenate([np.arange(len(presences)), up.origin])
    above = np.concatenate([statements.category[presences], up.category])
    keys = statements.image[presences][at] * n + above
    denied = statements.image[absences] * n + statements.category[absences]
    order = np.argsort(denied, kind="stable")
    low = np.searchsorted(denied[order], keys, side="left")
    count = np.searchsorted(denied[order], keys, side="right") - low
    present = presences[np.repeat(at, count)]
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    absent = absences[order[np.repeat(low, count) + within]]
    sort = np.lexsort(
        (
            -statements.confidence[present],
            statements.record[present],
            statements.mapping[present],
            statements.record[absent],
            statements.mapping[absent],
            statements.category[present],
            statements.category[absent],
            statements.image[absent],
        )
    )
    return absent[sort], present[sort]
