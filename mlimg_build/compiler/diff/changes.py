"""The differences between two sides as values: what changed of facts, rules, categories, mappings, pairs and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlimg_build.compiler.diff.label_changes import Entries
from mlimg_build.compiler.diff.snapshot import COUNTED, Mapped, Pair, SourceFacts
from mlimg_build.compiler.lock.rule_changes import RuleChange

__all__ = [
    "COPIED",
    "DUPLICATES",
    "SPLITS",
    "STORED",
    "Change",
    "Differences",
    "Effect",
    "Found",
    "Gathered",
    "LabelChange",
    "MappingChange",
    "PairChange",
    "ParentChange",
    "SourceChange",
]

SPLITS = "splits"
DUPLICATES = "duplicates"
COPIED = "labels of copies"  # a head fact: the digest over which copies count and with which labels
STORED = "stored images"  # a head fact: the digest over all image shards
DESTINATION = ("into", "fate", "wnid", "relation")  # fields of a mapping that tell where the labels go


@dataclass(frozen=True, slots=True)
class Change:
    """A head fact that differs; None if a side has no such fact."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A source that was added, removed or changed."""

    name: str
    before: SourceFacts | None
    after: SourceFacts | None


@dataclass(frozen=True, slots=True)
class Found:
    """A category that only one side has: its labels there, and where its source categories go on the other side.

    `sources` are (source, category, destination on the other side: a category id, a fate, or "" if it is unknown).
    """

    wnid: str
    name: str
    labels: Mapping[str, int]
    sources: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A category whose source categories belong to two or more categories, `parts`, on the other side."""

    wnid: str
    name: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParentChange:
    """A category of both sides whose parents changed; `above_*` are the changed ancestors that both sides have."""

    wnid: str
    name: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    above_gained: tuple[str, ...]
    above_lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MappingChange:
    """A source category that was added, removed or mapped differently; `fields` are the fields that differ."""

    source: str
    category: str
    before: Mapped | None
    after: Mapped | None
    fields: tuple[str, ...]

    @property
    def elsewhere(self) -> bool:
        """Whether its labels go elsewhere, or count otherwise; else only how that was decided differs."""
        return not self.fields or any(field in DESTINATION for field in self.fields)


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair of co-occurring categories that was added, removed, vetoed or accepted, or whose frequency changed."""

    antecedent: str
    consequent: str
    before: Pair | None
    after: Pair | None

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"


@dataclass(frozen=True, slots=True)
class LabelChange:
    """The label counts of one rule: labels gained and lost, each summed over categories."""

    rule: str
    before: int
    gained: int
    lost: int
    after: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A category whose label counts changed, by rule, and the causes that follow from the other differences."""

    wnid: str
    name: str
    before: Mapping[str, int]
    after: Mapping[str, int]
    because: tuple[str, ...]

    @property
    def changes(self) -> dict[str, int]:
        """The change in the label count of each rule whose count differs; negative for fewer labels."""
        return {rule: n for rule in COUNTED if (n := self.after[rule] - self.before[rule])}


@dataclass(frozen=True, slots=True)
class Differences:
    """All differences between two sides; `names` has the name of every category of either side.

    `labels` and `effects` count by category and are empty if `counted` is False: the sides hold different fractions.
    `entries` compares image by image if both sides are datasets of the same images. `rules` are compared as far as both
    sides have them: `rules_missing` names the sides that have none, `rules_unknown` the keys that one does not know.
    """

    before: str
    after: str
    head: tuple[Change, ...]
    sources: tuple[SourceChange, ...]
    added: tuple[Found, ...]
    dropped: tuple[Found, ...]
    merged: tuple[Gathered, ...]
    split: tuple[Gathered, ...]
    parents: tuple[ParentChange, ...]
    implied_pairs: tuple[int, int]
    mappings: tuple[MappingChange, ...]
    pairs: tuple[PairChange, ...]
    counted: bool
    labels: tuple[LabelChange, ...]
    categories_changed: int  # categories whose label counts differ
    effects: tuple[Effect, ...]
    entries: Entries | None
    names: Mapping[str, str]
    stored_known: bool = True  # whether both sides know the digests of their stored images
    rules: tuple[RuleChange, ...] = ()
    rules_missing: tuple[str, ...] = ()
    rules_unknown: tuple[str, ...] = ()

    @property
    def different(self) -> bool:
        """Whether anything differs."""
        listed = (
            *(self.head, self.rules, self.sources, self.added, self.dropped, self.merged, self.split),
            *(self.parents, self.mappings, self.pairs, self.effects),
        )
        return any(listed) or (self.entries is not None and self.entries.different)

    @property
    def level(self) -> str:
        """The semantic level of the change for users of the data: "major", "minor" or "patch".

        A major change removes data or changes its meaning: categories dropped, merged or split, parents or ancestors
        lost, source categories mapped elsewhere or nowhere, fewer images, equally many images with other stored bytes
        or other splits, labels turned. A minor change adds data or changes labels, also through the handling of copies.
        A patch does neither, as far as both sides know: `stored_known` tells whether both know their stored images.
        """
        elsewhere = any(
            row.before and row.before.into and _into(row.after) != row.before.into for row in self.mappings
        )
        fewer = any(
            change.before and (change.before.images or 0) > ((change.after and change.after.images) or 0)
            for change in self.sources
        )
        fewer |= any(
            one.what == "images"
            and int((one.before or "0").replace(",", "")) > int((one.after or "0").replace(",", ""))
            for one in self.head
        )
        lost = any(row.lost or row.above_lost for row in self.parents)
        grown = any(one.what == "images" for one in self.head)
        fewer |= any(one.what in (STORED, SPLITS) for one in self.head)
        turned = self.entries is not None and self.entries.turned > 0
        if self.dropped or self.merged or self.split or elsewhere or fewer or lost or turned:
            return "major"
        listed = (
            self.sources,
            self.added,
            self.parents,
            self.mappings,
            self.pairs,
            self.effects,
            self.labels,
        )
        grown |= any(one.what in (DUPLICATES, COPIED) for one in self.head)
        return (
            "minor"
            if grown or any(listed) or (self.entries is not None and self.entries.different)
            else "patch"
        )


def _into(mapped: Mapped | None) -> str | None:
    return mapped.into if mapped else None
