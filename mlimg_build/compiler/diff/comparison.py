"""Compare two sides: categories, mappings, parents, pairs, labels by rule, and the largest effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlimg_build.compiler.diff.causes import causes
from mlimg_build.compiler.diff.label_changes import Entries
from mlimg_build.compiler.diff.snapshot import COUNTED, Mapped, Pair, Side, SourceFacts

__all__ = [
    "COPIED",
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
    "as_json",
    "compare",
]

EFFECTS = 20
SPLITS = "splits"
DUPLICATES = "duplicates"
COPIED = "labels of copies"  # a head fact: the digest over which copies count and with which labels
STORED = "stored images"  # a head fact: the digest over all image shards
NUMBERS = ("score", "share", "bound")  # fields that sides store as text
MAPPED = (
    "into",
    "fate",
    "method",
    "wnid",
    "relation",
    "score",
    "name",
)  # compared fields of a mapping, the most important first


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


@dataclass(frozen=True, slots=True)
class PairChange:
    """A pair of co-occurring categories that was added, removed, vetoed or accepted, or whose frequency changed."""

    antecedent: str
    consequent: str
    before: Pair | None
    after: Pair | None


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
    `entries` compares image by image if both sides are datasets of the same images.
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

    @property
    def different(self) -> bool:
        """Whether anything differs."""
        listed = (
            *(self.head, self.sources, self.added, self.dropped, self.merged, self.split),
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


def compare(before: Side, after: Side, entries: Entries | None = None) -> Differences:
    """Return the differences from `before` to `after`; facts that only one side knows are not compared."""
    counted = before.whole == after.whole
    changed = _label_changes(before, after) if counted else {}
    largest = sorted(changed, key=lambda wnid: (-sum(map(abs, changed[wnid])), wnid))[:EFFECTS]
    added, dropped = tuple(_only(after, before)), tuple(_only(before, after))
    return Differences(
        before=before.title,
        after=after.title,
        head=tuple(_head(before, after)),
        sources=tuple(_sources(before, after)),
        added=added,
        dropped=dropped,
        merged=tuple(_gathered(before, after)),
        split=tuple(_gathered(after, before)),
        parents=tuple(_parents(before, after)),
        implied_pairs=(before.implied_pairs, after.implied_pairs),
        mappings=tuple(_mappings(before, after)),
        pairs=tuple(_pairs(before, after)),
        counted=counted,
        labels=tuple(_by_rule(before, after, changed)),
        categories_changed=len(changed),
        effects=tuple(_effect(before, after, wnid) for wnid in largest),
        entries=entries,
        names={**_names(before), **_names(after)},
        stored_known=bool(before.stored and after.stored),
    )


def _names(side: Side) -> dict[str, str]:
    return {wnid: category.name for wnid, category in side.categories.items()}


def _head(before: Side, after: Side) -> Iterator[Change]:
    for what in dict.fromkeys([*before.head, *after.head]):
        old, new = before.head.get(what), after.head.get(what)
        if old is not None and new is not None and old != new:
            yield Change(what, old, new)
    if before.whole == after.whole and before.images != after.images:
        yield Change("images", f"{before.images:,}", f"{after.images:,}")
    elif before.whole == after.whole and before.stored and after.stored and before.stored != after.stored:
        yield Change(STORED, before.stored, after.stored)
    if before.whole == after.whole and before.images == after.images and before.splits != after.splits:
        yield Change(SPLITS, *(_listed_splits(side) for side in (before, after)))


def _listed_splits(side: Side) -> str:
    return ", ".join(f"{name} {images:,}" for name, images in sorted(side.splits.items()))


def _sources(before: Side, after: Side) -> Iterator[SourceChange]:
    for name in dict.fromkeys([*before.sources, *after.sources]):
        old, new = before.sources.get(name), after.sources.get(name)
        if (old and old.digest) != (new and new.digest):
            yield SourceChange(name, old, new)


def _only(side: Side, other: Side) -> Iterator[Found]:
    """Yield the categories of `side` that `other` lacks."""
    for wnid in sorted(side.categories.keys() - other.categories.keys()):
        goes = []
        for source, category in side.origins.get(wnid, ()):
            there = other.mappings.get((source, category))
            goes.append((source, category, (there.into or there.fate) if there else ""))
        labels = dict(zip(COUNTED, side.labels(wnid), strict=True))
        yield Found(wnid, side.categories[wnid].name, labels, tuple(goes))


def _gathered(spread: Side, gathered: Side) -> Iterator[Gathered]:
    """Yield the categories of `gathered` with source categories from two or more categories of `spread`."""
    for wnid, keys in sorted(gathered.origins.items()):
        parts = {spread.mappings[key].into for key in keys if key in spread.mappings} - {""}
        if len(parts) > 1:
            yield Gathered(wnid, gathered.name(wnid) or wnid, tuple(sorted(parts)))


def _parents(before: Side, after: Side) -> Iterator[ParentChange]:
    both = before.categories.keys() & after.categories.keys()
    found = []
    for wnid in both:
        old, new = {*before.categories[wnid].parents}, {*after.categories[wnid].parents}
        if old != new:
            over, under = after.above[wnid] & both, before.above[wnid] & both
            groups = (new - old, old - new, over - under, under - over)
            found.append(
                ParentChange(wnid, after.categories[wnid].name, *(tuple(sorted(group)) for group in groups))
            )
    yield from sorted(found, key=lambda row: (-len(row.above_gained) - len(row.above_lost), row.wnid))


def _mappings(before: Side, after: Side) -> Iterator[MappingChange]:
    for source, category in sorted(before.mappings.keys() | after.mappings.keys()):
        old, new = before.mappings.get((source, category)), after.mappings.get((source, category))
        differ: tuple[str, ...] = ()
        if old and new:
            values = ((name, getattr(old, name), getattr(new, name)) for name in MAPPED)
            differ = tuple(name for name, was, now in values if None not in (was, now) and was != now)
            if not differ:
                continue
        yield MappingChange(source, category, old, new, differ)


def _pairs(before: Side, after: Side) -> Iterator[PairChange]:
    vetoes = before.vetoes and after.vetoes
    known = [
        {key: pair for key, pair in side.pairs.items() if vetoes or not pair.vetoed}
        for side in (before, after)
    ]
    found = []
    for key in known[0].keys() | known[1].keys():
        old, new = (pairs.get(key) for pairs in known)
        if old != new:
            found.append(PairChange(*key, old, new))
    yield from sorted(found, key=lambda row: (_kind(row), row.antecedent, row.consequent))


def _kind(change: PairChange) -> int:
    """Return the sort rank of a change: added or removed pairs, then changed vetoes, then changed shares."""
    if change.before is None or change.after is None:
        return 0
    return 1 if change.before.vetoed != change.after.vetoed else 2


def _label_changes(before: Side, after: Side) -> dict[str, tuple[int, ...]]:
    """Return the change in label counts, in the order of `COUNTED`, of every category that has one."""
    found = {}
    for wnid in before.categories.keys() | after.categories.keys():
        pairs = zip(before.labels(wnid), after.labels(wnid), strict=True)
        changes = tuple(new - old for old, new in pairs)
        if any(changes):
            found[wnid] = changes
    return found


def _by_rule(before: Side, after: Side, changed: Mapping[str, tuple[int, ...]]) -> Iterator[LabelChange]:
    for i, rule in enumerate(COUNTED):
        gained = sum(max(changes[i], 0) for changes in changed.values())
        lost = -sum(min(changes[i], 0) for changes in changed.values())
        if gained or lost:
            yield LabelChange(rule, before.totals[i], gained, lost, after.totals[i])


def _effect(before: Side, after: Side, wnid: str) -> Effect:
    return Effect(
        wnid=wnid,
        name=after.name(wnid) or before.name(wnid) or wnid,
        before=dict(zip(COUNTED, before.labels(wnid), strict=True)),
        after=dict(zip(COUNTED, after.labels(wnid), strict=True)),
        because=tuple(causes(before, after, wnid)),
    )


def as_json(found: Differences) -> dict[str, Any]:
    """Return the differences as one dict of JSON-compatible values, with `different` first."""
    told = asdict(found)
    told["effects"] = [{**asdict(effect), "changes": effect.changes} for effect in found.effects]
    for change in (*told["mappings"], *told["pairs"]):
        for side in filter(None, (change["before"], change["after"])):
            numbers = {name: float(side[name]) for name in NUMBERS if side.get(name)}
            side.update(numbers)
    for change in told["head"]:
        if change["what"] == "images":
            change.update({side: int(change[side].replace(",", "")) for side in ("before", "after")})
    del told["names"]
    return {"different": found.different, "level": found.level if found.different else None, **told}
