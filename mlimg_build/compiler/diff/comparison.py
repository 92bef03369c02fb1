"""Compare two sides: categories, mappings, parents, pairs, labels by rule, and the largest effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from mlimg_build.compiler.diff.causes import causes
from mlimg_build.compiler.diff.changes import (
    SPLITS,
    STORED,
    Change,
    Differences,
    Effect,
    Found,
    Gathered,
    LabelChange,
    MappingChange,
    PairChange,
    ParentChange,
    SourceChange,
)
from mlimg_build.compiler.diff.label_changes import Entries
from mlimg_build.compiler.diff.snapshot import COUNTED, Side
from mlimg_build.compiler.lock.rule_changes import RuleChange, rule_changes, unknown_rules

__all__ = ["as_json", "compare"]

EFFECTS = 20
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


def compare(before: Side, after: Side, entries: Entries | None = None) -> Differences:
    """Return the differences from `before` to `after`; facts that only one side knows are not compared."""
    counted = before.whole == after.whole
    changed = _label_changes(before, after) if counted else {}
    largest = sorted(changed, key=lambda wnid: (-sum(map(abs, changed[wnid])), wnid))[:EFFECTS]
    added, dropped = tuple(_only(after, before)), tuple(_only(before, after))
    rules = tuple(_rules(before, after))
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
        effects=tuple(_effect(before, after, wnid, rules) for wnid in largest),
        entries=entries,
        names={**_names(before), **_names(after)},
        stored_known=bool(before.stored and after.stored),
        rules=rules,
        rules_missing=tuple(side.title for side in (before, after) if side.rules is None),
        rules_unknown=tuple(
            dict.fromkeys(key for side in (before, after) for key in unknown_rules(side.rules or {}))
        ),
    )


def _rules(before: Side, after: Side) -> Iterator[RuleChange]:
    """Yield the rules that differ, with their lines; a rule whose file has another content differs, too."""
    if before.rules is None or after.rules is None:
        return
    named = set()
    for change in rule_changes(before.rules, after.rules):
        named.add(change.key)
        yield replace(change, place=_place(before, after, change.path))
    for key in sorted(before.files.keys() & after.files.keys()):
        old, new = before.files[key], after.files[key]
        if old != new and key not in named:
            path = tuple(key.split("."))
            yield RuleChange(path, old, new, _place(before, after, path))


def _place(before: Side, after: Side, path: tuple[str, ...]) -> str:
    """Return the line of a rule, the later one where both sides write it; "" if neither side has lines."""
    if path in after.places:
        return after.places[path]
    if after.places:
        file = next(iter(after.places.values())).rpartition(":")[0]
        return f"{file}, by default"
    return before.places.get(path, "")


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
    yield from sorted(found, key=lambda row: (_kind(row), -_most(row), row.antecedent, row.consequent))


def _most(change: PairChange) -> int:
    """Return how many labels a pair adds, on the side where it adds more."""
    return max(pair.adds for pair in (change.before, change.after) if pair is not None)


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


def _effect(before: Side, after: Side, wnid: str, rules: Sequence[RuleChange]) -> Effect:
    return Effect(
        wnid=wnid,
        name=after.name(wnid) or before.name(wnid) or wnid,
        before=dict(zip(COUNTED, before.labels(wnid), strict=True)),
        after=dict(zip(COUNTED, after.labels(wnid), strict=True)),
        because=tuple(causes(before, after, wnid, rules)),
    )


def as_json(found: Differences) -> dict[str, Any]:
    """Return the differences as one dict of JSON-compatible values, with `different` first."""
    told = asdict(found)
    told["rules"] = [
        {"rule": one.key, "before": one.before, "after": one.after, "place": one.place} for one in found.rules
    ]
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
