"""Prove labels: derive every label again from its origin, and check that nothing that follows is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.derivation.cooccurrence import Pairs
from mlimg_build.labels.derivation.cooccurrence_labels import add_cooccurring
from mlimg_build.labels.derivation.implication import (
    ANCESTORS,
    COOCCURRENCE,
    COOCCURRENCE_ANCESTORS,
    DESCENDANTS,
    RULES,
    STATED,
    LabelTable,
)
from mlimg_build.labels.derivation.statements import ABSENT, PRESENT
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.sparse_rows import entries, expand

__all__ = ["FLAWS", "Flaws", "Rules", "prove"]

FLAWS = {
    "unordered": "labels are not sorted by image and category, or a category stands twice",
    "bad-value": "a state, confidence or rule that no label has",
    "rule-off": "the spec does not have the rule that put the label there",
    "other-mapping": "the source category that it rests on means another category",
    "no-path": "the hierarchy does not lead from where it came through to the category",
    "no-origin": "the label that it came through is not there, or is another than it says",
    "no-pair": "no pair of co-occurring categories adds it",
    "other-confidence": "its confidence is not what follows from its origin",
    "missing": "a label that follows from this one is not there",
    "contradicted": "a category below it has the opposite state",
}
"""What can be wrong with a label, in words."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules that a label table was made with, as `imply` and `add_cooccurring` take them."""

    positives: bool = True
    negatives: bool = True
    machine_levels: int | None = None
    strongest: bool = True


@dataclass(frozen=True, slots=True)
class Flaws:
    """The rows of a table at which it fails, each with the position of a code in `FLAWS`; sorted by row."""

    row: npt.NDArray[np.int64]
    code: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        names = list(FLAWS)
        return ((row, names[code]) for row, code in zip(self.row.tolist(), self.code.tolist(), strict=True))


def prove(
    table: LabelTable,
    hierarchy: Hierarchy,
    category_of: npt.NDArray[np.int32],
    rules: Rules,
    pairs: Pairs | None = None,
    added: npt.NDArray[np.bool_] | None = None,
) -> Flaws:
    """Return every label that does not follow from its origin, and every one from which a label is missing.

    `category_of[mapping]` is the category that a source category is mapped to, `added` says which images get labels
    by co-occurrence (all without it). A label is proved by the one that it came through: the statement itself,
    or a label of the same image that is proved in turn. The table may be empty; no flaw means that it is
    the one table that its stated labels and the rules allow.
    """
    proof = _Proof(table, hierarchy, category_of, rules, pairs or Pairs.none(), added)
    found = [(np.flatnonzero(bad), code) for code, bad in proof.flaws()]
    row = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
    names = list(FLAWS)
    code = np.concatenate(
        [np.empty(0, np.int64), *(np.full(len(rows), names.index(name)) for rows, name in found)]
    )
    order = np.lexsort((code, row))
    return Flaws(row[order], code[order])


class _Proof:
    def __init__(
        self,
        table: LabelTable,
        hierarchy: Hierarchy,
        category_of: npt.NDArray[np.int32],
        rules: Rules,
        pairs: Pairs,
        added: npt.NDArray[np.bool_] | None,
    ) -> None:
        self.table, self.hierarchy, self.rules, self.pairs = table, hierarchy, rules, pairs
        self.n = np.int64(max(len(hierarchy), 1))
        self.added = added
        self.key = table.image * self.n + table.category
        known = (table.mapping >= 0) & (table.mapping < len(category_of))
        self.meant = np.full(len(table), -1, np.int64)
        self.meant[known] = category_of[table.mapping[known]]

    def flaws(self) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        table = self.table
        unordered = np.zeros(len(table), dtype=bool)
        unordered[1:] = np.diff(self.key) <= 0
        yield "unordered", unordered
        in_range = (table.category >= 0) & (table.category < self.n) & (table.via >= 0) & (table.via < self.n)
        bad = ~np.isin(table.state, (PRESENT, ABSENT)) | (table.rule >= len(RULES)) | ~in_range
        bad |= ~((table.confidence > 0) & (table.confidence <= 1))
        bad |= (table.state == ABSENT) & (table.confidence < 1)
        yield "bad-value", bad
        if unordered.any() or not in_range.all():
            return  # the checks below look labels up
        yield from self._origins()
        yield from self._consequences()

    def _origins(self) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        table, rules = self.table, self.rules
        rule = table.rule
        stated, up, down = rule == STATED, rule == ANCESTORS, rule == DESCENDANTS
        off = ((rule >= COOCCURRENCE) & (table.state == ABSENT)) | (up & (table.state == ABSENT))
        off |= down & (table.state == PRESENT)
        if not rules.positives:
            off |= up | (rule == COOCCURRENCE_ANCESTORS)
        if not rules.negatives:
            off |= down
        yield "rule-off", off
        yield "other-mapping", (rule <= DESCENDANTS) & (self.meant != table.via)
        hops = np.zeros(len(table), np.int64)
        hops[up] = entries(self.hierarchy.hops, table.via[up], table.category[up])
        hops[down] = entries(self.hierarchy.hops, table.category[down], table.via[down])
        far = np.zeros(len(table), dtype=bool)
        if rules.machine_levels is not None:
            far = up & (table.confidence < 1) & (hops > rules.machine_levels)
        yield "no-path", (stated & (table.via != table.category)) | ((up | down) & (hops == 0)) | far
        at, there = self._find(table.image * self.n + table.via)
        right = there & (table.state[at] == table.state)
        yield "no-origin", (rule <= DESCENDANTS) & ~right
        if rules.strongest:  # otherwise an earlier, weaker statement may have won
            yield "other-confidence", right & up & (table.confidence[at] < table.confidence)

    def _consequences(self) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        table, rules = self.table, self.rules
        lacking = np.zeros(len(table), dtype=bool)
        contradicted = np.zeros(len(table), dtype=bool)
        present = np.flatnonzero((table.state == PRESENT) & (table.rule != ANCESTORS))
        above = expand(self.hierarchy.hops, table.category[present])
        origin = present[above.origin]
        at, there = self._find(table.image[origin] * self.n + above.category)
        contradicted[at[there & (table.state[at] == ABSENT)]] = True
        if rules.positives:
            due = table.rule[origin] == STATED
            if rules.machine_levels is not None:
                due &= (table.confidence[origin] >= 1) | (above.hops <= rules.machine_levels)
            lacking[origin[due & ~there]] = True
            weak = due & there & (table.confidence[at] < table.confidence[origin])
            lacking[origin[weak & rules.strongest]] = True
        if rules.negatives:
            absent = np.flatnonzero((table.state == ABSENT) & (table.rule == STATED))
            below = expand(self.hierarchy.down, table.category[absent])
            _, there = self._find(table.image[absent[below.origin]] * self.n + below.category)
            lacking[absent[below.origin[~there]]] = True
        yield "contradicted", contradicted
        yield from self._added(lacking)
        yield "missing", lacking

    def _added(self, lacking: npt.NDArray[np.bool_]) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
        """Compare the labels that co-occurrence added with those it should add; mark antecedents of missing ones."""
        table = self.table
        given = table.rule >= COOCCURRENCE
        if not given.any() and not len(self.pairs):
            return
        rest = LabelTable(*(getattr(table, field.name)[~given] for field in fields(LabelTable)))
        whole = add_cooccurring(
            rest,
            self.pairs,
            self.hierarchy,
            images=None if self.added is None else self.added,
            positives=self.rules.positives,
            machine_levels=self.rules.machine_levels,
        )
        key = whole.image * self.n + whole.category
        new = whole.rule >= COOCCURRENCE
        at, there = self._find(key[new])
        same = there & given[at]
        alike = np.ones(len(at), dtype=bool)
        for name in ("rule", "via", "mapping", "record"):
            alike &= getattr(table, name)[at] == getattr(whole, name)[new]
        sure = table.confidence[at] == whole.confidence[new]
        expected = np.zeros(len(table), dtype=bool)
        expected[at[same]] = True
        other, unsure = np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool)
        other[at[same & ~alike]] = True
        unsure[at[same & alike & ~sure]] = True
        yield "no-pair", given & ~expected
        yield "no-origin", other
        yield "other-confidence", unsure
        via, found = self._find(whole.image[new] * self.n + whole.via[new])
        lacking[via[found & ~same]] = True

    def _find(self, key: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the row of each image and category, and whether there is one."""
        if not len(self.key):
            return np.zeros(len(key), np.int64), np.zeros(len(key), dtype=bool)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return at, self.key[at] == key
