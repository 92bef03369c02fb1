"""The labels that co-occurrence adds to a table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.derivation.confidences import SMALLEST_FRACTION
from mlimg_build.labels.derivation.cooccurrence import LARGEST, Pairs
from mlimg_build.labels.derivation.implication import COOCCURRENCE, COOCCURRENCE_ANCESTORS, LabelTable
from mlimg_build.labels.derivation.statements import ABSENT, PRESENT
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import expand

__all__ = ["add_cooccurring"]


def add_cooccurring(
    table: LabelTable,
    pairs: Pairs,
    hierarchy: Hierarchy,
    *,
    images: npt.NDArray[np.bool_] | None = None,
    positives: bool = True,
    machine_levels: int | None = None,
    relation: sparse.csr_array | None = None,
) -> LabelTable:
    """Return the table with the labels that co-occurrence adds; existing labels are unchanged.

    Every image with a pair's antecedent, stated or implied, gets its consequent with the confidence of the
    antecedent times the pair's bound, and with `positives` the consequent's ancestors (up to `machine_levels`,
    as for any label that no person verified). Nothing is added if the category is known already, or if it or
    an ancestor of it is absent; added labels add no further ones. `images`, bool by image number, says which
    images get labels. `relation` is `pairs.relation`, for callers that have it already.

    `via` of an added consequent is the antecedent, `via` of an ancestor added with it is the consequent; both
    rest on the statement that the antecedent's label rests on. Of several ways to a label the most confident wins,
    then the direct one, then the lowest category, source category and record.
    """
    if relation is None:
        relation = pairs.relation(len(hierarchy))
    n = np.int64(max(len(hierarchy), 1))
    known = table.image * n + table.category
    from_ = (np.diff(relation.indptr) > 0)[table.category] & (table.state == PRESENT)
    if images is not None:
        from_ &= images[table.image]
    origin = np.flatnonzero(from_)
    reached = expand(relation, table.category[origin])
    origin, category, bound = origin[reached.origin], reached.category, pairs.bound[reached.hops - 1]
    free = ~_within(table.image[origin] * n + category, known)
    origin, category, bound = origin[free], category[free], bound[free]
    denied = _denied(table, table.image[origin], category, hierarchy)
    origin, category, bound = origin[~denied], category[~denied], bound[~denied]
    with np.errstate(under="ignore"):
        confidence = np.clip(table.confidence[origin] * bound, SMALLEST_FRACTION, LARGEST)
    rule = np.full(len(origin), COOCCURRENCE, np.uint8)
    added = _Added(origin, category, confidence, rule, table.category[origin]).best(table, n)
    if positives and len(added.origin):
        up = expand(hierarchy.hops, added.category)
        at, above = up.origin, up.category
        if machine_levels is not None:
            near = up.hops <= machine_levels
            at, above = at[near], above[near]
        new = ~_within(table.image[added.origin[at]] * n + above, known)
        at, above = at[new], above[new]
        rule = np.full(len(at), COOCCURRENCE_ANCESTORS, np.uint8)
        implied = _Added(added.origin[at], above, added.confidence[at], rule, added.category[at])
        added = added.beside(implied).best(table, n)
    return _merged(table, added, known, n)


@dataclass(frozen=True, slots=True)
class _Added:
    """Labels to be added: the row that each rests on, the category, the confidence, the rule, and `via`."""

    origin: npt.NDArray[np.int64]
    category: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    rule: npt.NDArray[np.uint8]
    via: npt.NDArray[np.int32]

    def beside(self, other: _Added) -> _Added:
        return _Added(
            *(
                np.concatenate([getattr(self, field.name), getattr(other, field.name)])
                for field in fields(_Added)
            )
        )

    def take(self, where: npt.NDArray[np.int64]) -> _Added:
        return _Added(*(getattr(self, field.name)[where] for field in fields(_Added)))

    def best(self, table: LabelTable, n: np.int64) -> _Added:
        """Return the best label for each image and category, sorted by both."""
        key = table.image[self.origin] * n + self.category
        order = np.argsort(key, kind="stable")
        key = key[order]
        again = key[1:] == key[:-1]
        if not again.any():  # most labels have one way only
            return self.take(order)
        several = np.append(again, False) | np.append(False, again)
        some = order[several]
        mapping, record = table.mapping[self.origin[some]], table.record[self.origin[some]]
        turn = np.lexsort(
            (record, mapping, self.via[some], self.rule[some], -self.confidence[some], key[several])
        )
        order[several] = some[turn]
        return self.take(order[np.append(True, ~again)])


def _within(keys: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which keys are among the known ones, which are sorted."""
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
    """Return which categories have an ancestor that is absent from the image."""
    denied = np.zeros(len(image), dtype=bool)
    absent = table.state == ABSENT
    if not absent.any() or not len(image):
        return denied
    n = np.int64(max(len(hierarchy), 1))
    with_absence = np.zeros(int(max(table.image[-1], image.max())) + 1, dtype=bool)
    with_absence[table.image[absent]] = True
    asked = np.flatnonzero(with_absence[image])
    above = expand(hierarchy.hops, category[asked])
    found = _within(
        image[asked][above.origin] * n + above.category, table.image[absent] * n + table.category[absent]
    )
    denied[asked[above.origin[found]]] = True
    return denied


def _merged(table: LabelTable, added: _Added, known: npt.NDArray[np.int64], n: np.int64) -> LabelTable:
    if not len(added.origin):
        return table
    image = table.image[added.origin]
    columns: dict[str, npt.NDArray[Any]] = {
        "image": image,
        "category": added.category,
        "state": np.full(len(image), PRESENT, np.int8),
        "confidence": added.confidence,
        "rule": added.rule,
        "via": added.via,
        "mapping": table.mapping[added.origin],
        "record": table.record[added.origin],
    }
    at = np.searchsorted(known, image * n + added.category) + np.arange(len(image))
    whole = len(table) + len(image)
    old = np.ones(whole, dtype=bool)
    old[at] = False
    made = {}
    for name, values in columns.items():
        made[name] = column = np.empty(whole, getattr(table, name).dtype)
        column[old] = getattr(table, name)
        column[at] = values
    return LabelTable(**made)
