"""Merge the statements of an image's copies into tables for the dataset, and count the copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.copies.duplicates import Copy
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.plan.annotation_rules import annotation_rules
from mlimg_build.compiler.plan.row_files import SOURCES, STATEMENT_FIELDS, RowIndex, Shard, statements_of
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.dataset import CopyTables
from mlimg_build.dataset.format.counts import label_tally
from mlimg_build.labels import ABSENT, PRESENT, Contradictions, LabelTable, Statements, derive
from mlimg_build.spec import Spec

__all__ = ["CopyCounts", "CopyMembers", "MergedCopies", "copies_attribute", "merge_copies"]

BLOCK = 4096  # groups whose labels are derived at a time
NAMED = 10  # contradictions, or moved images, that are listed


@dataclass(frozen=True, slots=True)
class CopyCounts:
    """The numbers of groups of images with the same bytes, of their images, and of groups whose members differ.

    `contradictions` counts pairs of contradicting statements about different copies.
    """

    groups: int = 0
    images: int = 0
    other_labels: int = 0
    across_sources: int = 0
    across_splits: int = 0
    contradictions: int = 0


@dataclass(frozen=True, slots=True)
class MergedCopies:
    """The tables of copies, the change of label counts when copies count once, and what to report.

    `changed` is int64[categories, 2]: present and absent. `contradictions` describes the first ones between copies,
    `moved` the first images that count in another split than their own.
    """

    tables: CopyTables
    changed: npt.NDArray[np.int64]
    counts: CopyCounts
    contradictions: tuple[str, ...]
    moved: tuple[str, ...] = ()


def merge_copies(
    groups: Sequence[Sequence[Copy]],
    spec: Spec,
    facts: Facts,
    rows: RowIndex,
    work: Sequence[ShardWork],
    *,
    merge: bool = True,
) -> MergedCopies:
    """Return the groups of `ordered_groups` as tables, with the labels derived from their joint statements.

    `work` are the shards that are built. Only rows are read, no image and no shard: the rows of a fraction are those of
    the whole, so the statements of copies outside the fraction count too. Without `merge` the tables are empty and
    only the counts are returned. Memory: the statements of the copies.
    """
    members = CopyMembers(groups, rows, work)
    made = _Merging(members, spec, facts, rows)
    for first in range(0, len(groups), BLOCK):
        made.add(first, min(first + BLOCK, len(groups)))
    counts = CopyCounts(
        groups=len(groups),
        images=len(members.ids),
        other_labels=made.other_labels,
        across_sources=members.different(members.source),
        across_splits=members.different(members.split_name),
        contradictions=made.between,
    )
    if not merge:
        nothing = np.zeros((len(facts.vocabulary), 2), np.int64)
        return MergedCopies(CopyTables(), nothing, counts, tuple(made.named))
    return MergedCopies(made.tables(), made.changed, counts, tuple(made.named), members.moved())


def copies_attribute(spec: Spec, counts: CopyCounts, basis: str) -> dict[str, Any]:
    """Return the attribute `copies` of a dataset; `basis` is where copies were searched: whole, lock or fraction."""
    return {"exact": spec.duplicates.exact, "basis": basis, **asdict(counts)}


class CopyMembers:
    """The images of all groups, one after the other, with their statements, whose `image` is the member's index."""

    def __init__(self, groups: Sequence[Sequence[Copy]], rows: RowIndex, work: Sequence[ShardWork]) -> None:
        copies = [one for group in groups for one in group]
        self.ids = [one.id for one in copies]
        size = np.array([len(group) for group in groups], np.int64)
        self.stop = np.cumsum(size)
        self.start = self.stop - size
        self.group = np.repeat(np.arange(len(groups)), size)
        splits = list(dict.fromkeys(one.shard.split for one in work))
        here = {(one.shard.split, one.shard.number) for one in work}
        self.splits = splits
        self.split_name = np.array([one.work.shard.split for one in copies], np.str_)
        inside = [(one.work.shard.split, one.work.shard.number) in here for one in copies]
        self.inside = np.array(inside, np.bool_)
        self.split = np.array(
            [
                splits.index(one.work.shard.split) if there else -1
                for one, there in zip(copies, inside, strict=True)
            ],
            np.int8,
        )
        self.row = np.array(
            [
                one.work.shard.first + one.row if there else -1
                for one, there in zip(copies, inside, strict=True)
            ],
            np.int64,
        )
        self.source = np.zeros(len(copies), np.uint16)
        self.statements = self._read(copies, rows)

    def different(self, values: npt.NDArray[Any]) -> int:
        """Return in how many groups a value is not the same for all members."""
        other = values != values[self.start][self.group] if len(values) else np.zeros(0, np.bool_)
        return len(np.unique(self.group[other]))

    def moved(self) -> tuple[str, ...]:
        """Return the first images that count in another split than their own, each with the image that counts."""
        first = self.start[self.group]
        away = (
            np.flatnonzero(self.split_name != self.split_name[first]) if self.ids else np.zeros(0, np.int64)
        )
        return tuple(
            f"{self.ids[i]} ({self.split_name[i]}) counts as {self.ids[first[i]]} ({self.split_name[first[i]]})"
            for i in away[:NAMED].tolist()
        )

    def _read(self, copies: Sequence[Copy], rows: RowIndex) -> Statements:
        of_shard: dict[Shard, list[int]] = defaultdict(list)
        for member, one in enumerate(copies):
            of_shard[one.work.shard].append(member)
        names = [field.name for field in fields(Statements)]
        parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in names}
        for shard, listed in of_shard.items():
            here = np.array(listed)
            batch = rows.batch(shard).select(["source", *(name for name, _ in STATEMENT_FIELDS)])
            chosen = batch.take([copies[member].row for member in listed])
            self.source[here] = chosen.column("source").to_numpy()
            found = statements_of(chosen)
            for name in names:
                values = getattr(found, name)
                parts[name].append(here[values] if name == "image" else values)
        if not parts["image"]:
            return Statements.of(*([] for _ in names))
        return Statements.of(*(np.concatenate(parts[name]) for name in names))


class _Merging:
    """Derives the labels of groups, block by block."""

    def __init__(self, members: CopyMembers, spec: Spec, facts: Facts, rows: RowIndex) -> None:
        self.members = members
        self.hierarchy, self.pairs = facts.hierarchy, facts.pairs
        self.relation = self.pairs.relation(len(self.hierarchy))
        self.annotation = annotation_rules(spec)
        self.wnids = facts.vocabulary.wnids
        self.source_of: npt.NDArray[np.uint16] = np.load(rows.folder / SOURCES, allow_pickle=False)
        self.added = np.isin(members.source, self.annotation.add_to)
        self.changed = np.zeros((len(self.wnids), 2), np.int64)
        self.merged = np.zeros(len(members.start), np.bool_)
        self.labels: list[tuple[LabelTable, npt.NDArray[np.int64]]] = []
        self.clashes: list[tuple[Statements, Contradictions, npt.NDArray[np.int64]]] = []
        self.tallies: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in members.splits}
        self.other_labels = self.between = 0
        self.named: list[str] = []

    def add(self, first: int, last: int) -> None:
        """Derive the labels of the groups `first` to `last` (exclusive) and add their tables and counts."""
        members = self.members
        low, high = np.searchsorted(
            members.statements.image, (members.start[first], members.stop[last - 1])
        ).tolist()
        given = members.statements.take(np.arange(low, high))
        group = members.group[given.image]
        size = (members.stop - members.start)[first:last]
        self.other_labels += _of_other_labels(given, group - first, size)
        own = given.take(_distinct(given, given.image))
        own_table, own_clashes = self._derived(own, self.added)
        at = _distinct(given, group)
        said, member = given.take(at), given.image[at]
        together = Statements(
            group[at], *(getattr(said, field.name) for field in fields(Statements) if field.name != "image")
        )
        heard = np.zeros(len(members.start), np.bool_)
        heard[members.group[self.added]] = True
        table, clashes = self._derived(together, heard)
        origin = _origins(together, member, table)
        between = member[clashes.absent] != member[clashes.present]
        self.between += int(between.sum())
        self._name(together, member, clashes, between)
        chosen = np.arange(first, last)
        counts = members.inside[members.start[chosen]]
        differ = self._differ(chosen, table, own_table)
        differ |= self._more(chosen, together, member, clashes, own, own_clashes)
        self.merged[chosen] = differ & counts
        kept = self.merged[table.image]
        labels = LabelTable(*(getattr(table, field.name)[kept] for field in fields(LabelTable)))
        self.labels.append((labels, origin[kept]))
        kept = self.merged[together.image[clashes.absent]]
        clashes = Contradictions(clashes.absent[kept], clashes.present[kept], clashes.kept[kept])
        self.clashes.append((together, clashes, member))
        first_of = np.zeros(len(members.ids), np.bool_)
        first_of[members.start] = True
        gone = (~first_of | self.merged[members.group])[own_table.image]
        self._count(own_table, gone, members.split[own_table.image], -1)
        self._count(labels, np.ones(len(labels), np.bool_), members.split[members.start[labels.image]], 1)

    def _derived(
        self, statements: Statements, added: npt.NDArray[np.bool_]
    ) -> tuple[LabelTable, Contradictions]:
        return derive(
            statements,
            self.hierarchy,
            self.annotation.rules,
            self.annotation.conflicts,
            self.pairs,
            images=added,
            relation=self.relation,
        )

    def _differ(
        self, groups: npt.NDArray[np.int64], table: LabelTable, own: LabelTable
    ) -> npt.NDArray[np.bool_]:
        """Return bool[groups]: where the joint labels differ from those of the image that counts."""
        start = self.members.start
        number = np.full(len(self.members.ids), -1, np.int64)
        number[start] = np.arange(len(start))
        mine = number[own.image] >= 0
        ours = [np.bincount(table.image - groups[0], minlength=len(groups))]
        ours.append(np.bincount(number[own.image[mine]] - groups[0], minlength=len(groups)))
        found: npt.NDArray[np.bool_] = ours[0] != ours[1]
        left, right = ~found[table.image - groups[0]], ~found[number[own.image[mine]] - groups[0]]
        for name in ("category", "state", "confidence", "rule", "via"):
            other = getattr(table, name)[left] != getattr(own, name)[mine][right]
            found[table.image[left][other] - groups[0]] = True
        return found

    def _more(
        self,
        groups: npt.NDArray[np.int64],
        together: Statements,
        member: npt.NDArray[np.int64],
        clashes: Contradictions,
        own: Statements,
        own_clashes: Contradictions,
    ) -> npt.NDArray[np.bool_]:
        """Return bool[groups]: where there are other contradictions than in the image that counts."""
        members = self.members
        whose = own.image[own_clashes.absent]
        whose = members.group[whose[whose == members.start[members.group[whose]]]]
        ours = np.bincount(together.image[clashes.absent] - groups[0], minlength=len(groups))
        found: npt.NDArray[np.bool_] = ours != np.bincount(whose - groups[0], minlength=len(groups))
        # equally many, but between other statements: then one of the joint statements is about another member
        first = members.start[together.image[clashes.absent]]
        for side in (clashes.absent, clashes.present):
            found[together.image[side][member[side] != first] - groups[0]] = True
        return found

    def _count(
        self, table: LabelTable, where: npt.NDArray[np.bool_], split: npt.NDArray[np.int8], sign: int
    ) -> None:
        where &= split >= 0
        for i, state in enumerate((PRESENT, ABSENT)):
            category = table.category[where & (table.state == state)]
            self.changed[:, i] += sign * np.bincount(category, minlength=len(self.changed))
        for code, name in enumerate(self.members.splits):
            here = where & (split == code)
            rows = label_tally(table.state[here], table.rule[here], self.source_of[table.mapping[here]])
            self.tallies[name] += [(state, rule, source, sign * count) for state, rule, source, count in rows]

    def _name(
        self,
        statements: Statements,
        member: npt.NDArray[np.int64],
        clashes: Contradictions,
        between: npt.NDArray[np.bool_],
    ) -> None:
        for position in np.flatnonzero(between)[: NAMED - len(self.named)].tolist():
            absent, present = int(clashes.absent[position]), int(clashes.present[position])
            denied, stated = (self.wnids[statements.category[one]] for one in (absent, present))
            one, other = (self.members.ids[member[at]] for at in (absent, present))
            self.named.append(f"{denied} absent from {one}, {stated} present in its copy {other}")

    def tables(self) -> CopyTables:
        """Return the tables of all groups that were added."""
        members, groups = self.members, len(self.members.start)
        labels = [table for table, _ in self.labels]
        counts = sum((np.bincount(one.image, minlength=groups) for one in labels), np.zeros(groups, np.int64))
        columns: dict[str, npt.NDArray[Any]] = _spans(counts)
        for field in fields(LabelTable):
            if field.name != "image":
                columns[field.name] = _joined([getattr(one, field.name) for one in labels])
        columns["source"] = self.source_of[columns["mapping"].astype(np.int64)]
        columns["member"] = _joined([origin for _, origin in self.labels])
        absent = [(said.take(found.absent), member[found.absent]) for said, found, member in self.clashes]
        present = [(said.take(found.present), member[found.present]) for said, found, member in self.clashes]
        counts = sum(
            (np.bincount(one.image, minlength=groups) for one, _ in absent), np.zeros(groups, np.int64)
        )
        clashes: dict[str, npt.NDArray[Any]] = _spans(counts)
        for side, parts in (("absent", absent), ("present", present)):
            clashes[side] = _joined([one.category for one, _ in parts])
            clashes[f"{side}_mapping"] = _joined([one.mapping for one, _ in parts])
            clashes[f"{side}_record"] = _joined([one.record for one, _ in parts])
            clashes[f"{side}_member"] = _joined([who for _, who in parts])
        clashes["confidence"] = _joined([one.confidence for one, _ in present])
        clashes["kept"] = _joined([found.kept for _, found, _ in self.clashes])
        return CopyTables(
            groups={"start": members.start, "stop": members.stop, "merged": self.merged.astype(np.uint8)},
            members={
                "id": members.ids,
                "source": members.source,
                "split": members.split,
                "row": members.row,
            },
            labels=columns,
            contradictions=clashes,
            tallies=self.tallies,
        )


def _distinct(statements: Statements, image: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the positions of the statements without repetitions about the same `image`, sorted by image.

    Of equal statements with the same source category, the one with the lowest record is kept, then the first: equal
    statements of many copies would make quadratically many contradictions without changing the labels.
    """
    names = ("category", "state", "confidence", "mapping")
    keys = [image, *(getattr(statements, name) for name in names)]
    order = np.lexsort((statements.record, *reversed(keys)))
    new = np.ones(len(order), np.bool_)
    if len(order):
        new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    found: npt.NDArray[np.int64] = order[new]
    return found


def _of_other_labels(
    statements: Statements, group: npt.NDArray[np.int64], size: npt.NDArray[np.int64]
) -> int:
    """Return in how many groups (of `size` members each) not all members have the same stated labels."""
    said = statements.category * np.int64(2) + (statements.state > 0)
    of_member = np.unique(np.stack([group, statements.image, said]), axis=1)
    of_group = np.unique(of_member[[0, 2]], axis=1)[0]
    groups = len(size)
    different = np.bincount(of_group, minlength=groups) * size != np.bincount(of_member[0], minlength=groups)
    return int(different.sum())


def _origins(
    statements: Statements, member: npt.NDArray[np.int64], table: LabelTable
) -> npt.NDArray[np.int64]:
    """Return int64[labels]: the member that the statement behind each label is about."""
    names = ("image", "mapping", "record")
    columns = [np.concatenate([getattr(statements, name), getattr(table, name)]) for name in names]
    order = np.lexsort(columns[::-1])
    new = np.zeros(len(order), np.int64)
    new[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(new)
    said = len(statements)
    first = np.full(len(order), np.iinfo(np.int64).max)
    np.minimum.at(first, number[:said], member)
    return first[number[said:]]


def _spans(counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    stop = np.cumsum(counts)
    return {"start": stop - counts, "stop": stop}


def _joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
