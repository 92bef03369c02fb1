"""The labels that co-occurrence adds to a table: what goes together elsewhere is taken to do so here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.cooccurring import LARGEST, Pairs
from mlimg_build.labels.expanding import expand
from mlimg_build.labels.hierarchy import Hierarchy
from mlimg_build.labels.implying import COOCCURRENCE, COOCCURRENCE_ANCESTORS, LabelTable
from mlimg_build.labels.statements import ABSENT, PRESENT

__all__ = ["add_cooccurring"]


def add_cooccurring(
    table: LabelTable,
    pairs: Pairs,
    hierarchy: Hierarchy,
    *,
    images: npt.NDArray[np.bool_] | None = None,
    positives: bool = True,
    machine_levels: int | None = None,
) -> LabelTable:
    """The table with the labels that co-occurrence adds; what was in it stays as it is.

    Every image with a pair's antecedent, stated or implied, gets its consequent with the confidence of the
    antecedent times the pair's bound, and with `positives` the consequent's ancestors (up to `machine_levels`,
    as of any label that no person verified). Nothing is added where the category is known already, or it or
    an ancestor of it is absent; added labels add no further ones. `images` (by number) says who gets labels.

    `via` of an added consequent is the antecedent, `via` of an ancestor added with it is the consequent; both
    rest on the statement that the antecedent's label rests on. Of several ways the most confident wins, then
    the direct one, then the lowest category, source category and record.
    """
    relation = pairs.relation(len(hierarchy))
    n = np.int64(max(len(hierarchy), 1))
    known = table.image * n + table.category
    from_ = (table.state == PRESENT) & (np.diff(relation.indptr) > 0)[table.category]
    if images is not None:
        from_ &= images[table.image]
    origin = np.flatnonzero(from_)
    reached = expand(relation, table.category[origin])
    origin, category = origin[reached.origin], reached.category
    confidence = table.confidence[origin] * pairs.bound[reached.hops - 1]
    free = ~_within(table.image[origin] * n + category, known)
    free &= ~_denied(table, table.image[origin], category, hierarchy)
    direct = _Added(
        origin[free],
        category[free],
        np.minimum(confidence[free], LARGEST),
        COOCCURRENCE,
        table.category[origin[free]],
    )
    if positives:
        base = direct.best(table, n)
        up = expand(hierarchy.hops, base.category)
        near = np.ones(len(up.origin), bool) if machine_levels is None else up.hops <= machine_levels
        at, above = up.origin[near], up.category[near]
        new = ~_within(table.image[base.origin[at]] * n + above, known)
        at, above = at[new], above[new]
        implied = _Added(
            base.origin[at], above, base.confidence[at], COOCCURRENCE_ANCESTORS, base.category[at]
        )
        direct = base.beside(implied)
    return _merged(table, direct.best(table, n), n)


@dataclass(frozen=True, slots=True)
class _Added:
    """Labels to be added: the row that each rests on, the category, the confidence, the rule, and via what."""

    origin: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    rule: npt.NDArray[np.uint8] | int
    via: npt.NDArray[np.int32]

    def rules(self) -> npt.NDArray[np.uint8]:
        return np.broadcast_to(np.asarray(self.rule, np.uint8), self.origin.shape)

    def beside(self, other: _Added) -> _Added:
        return _Added(
            np.concatenate([self.origin, other.origin]),
            np.concatenate([self.category, other.category]),
            np.concatenate([self.confidence, other.confidence]),
            np.concatenate([self.rules(), other.rules()]),
            np.concatenate([self.via, other.via]),
        )

    def best(self, table: LabelTable, n: np.int64) -> _Added:
        """One label for each image and category, sorted by both."""
        key = table.image[self.origin] * n + self.category
        mapping, record = table.mapping[self.origin], table.record[self.origin]
        order = np.lexsort((record, mapping, self.via, self.rules(), -self.confidence, key))
        first = order[np.diff(key[order], prepend=-1) != 0]
        return _Added(
            self.origin[first],
            self.category[first],
            self.confidence[first],
            self.rules()[first],
            self.via[first],
        )


def _within(keys: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Says which keys are among the known ones, which are sorted."""
    if not len(known):
        return np.zeros(len(keys), dtype=bool)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: npt.NDArray[np.bool_] = known[at] == keys
    return found


def _denied(
    table: LabelTable,
    image: npt.NDArray[np.int64],
    category: npt.NDArray[np.int32],
    hierarchy: Hierarchy,
) -> npt.NDArray[np.bool_]:
    """Says which categories have an ancestor that is absent from the image."""
    n = np.int64(max(len(hierarchy), 1))
    absent = table.state == ABSENT
    denied = np.zeros(len(image), dtype=bool)
    if absent.any():
        above = expand(hierarchy.hops, category)
        known = table.image[absent] * n + table.category[absent]
        denied[above.origin[_within(image[above.origin] * n + above.category, known)]] = True
    return denied


def _merged(table: LabelTable, added: _Added, n: np.int64) -> LabelTable:
    image = table.image[added.origin]
    at = np.searchsorted(table.image * n + table.category, image * n + added.category)
    columns: dict[str, npt.NDArray[Any]] = {
        "image": image,
        "category": added.category,
        "state": np.full(len(image), PRESENT, np.int8),
        "confidence": added.confidence,
        "rule": added.rules(),
        "via": added.via,
        "mapping": table.mapping[added.origin],
        "record": table.record[added.origin],
    }
    return LabelTable(
        **{name: np.insert(getattr(table, name), at, column) for name, column in columns.items()}
    )
