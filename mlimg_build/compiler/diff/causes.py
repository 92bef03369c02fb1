"""Explain why the labels of a category changed: moved source categories, related categories, pairs and sources."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from mlimg_build.compiler.diff.rule_causes import contradiction_causes, rule_causes
from mlimg_build.compiler.diff.snapshot import COUNTED, Key, Pair, Side
from mlimg_build.compiler.lock.rule_changes import RuleChange

__all__ = ["causes"]

NAMED = 2  # causes of one kind that are listed; the others are only counted
STATED, IMPLIED, COOCCURRING, ABSENT_STATED, ABSENT_IMPLIED = range(len(COUNTED))


def causes(before: Side, after: Side, wnid: str, rules: Sequence[RuleChange] = ()) -> Iterator[str]:
    """Yield the causes of the change in a category's label counts, the most direct first; may yield nothing.

    `rules` are the changed rules of the two specs; those that may explain the change come last.
    """
    yield from _direct(before, after, wnid)
    yield from contradiction_causes(before, after, wnid)
    yield from rule_causes(before, after, wnid, rules)


def _direct(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """Yield the causes that lie in the sources, the categories, the hierarchy and the pairs."""
    change = [new - old for old, new in zip(before.labels(wnid), after.labels(wnid), strict=True)]
    moves = [*_moves(before, after, wnid)]
    if wnid not in before.categories or wnid not in after.categories:
        what = "dropped" if wnid in before.categories else "added"
        yield f"{what}: {'; '.join(moves) or 'it has no source category of its own'}"
        return
    yield from moves
    if change[IMPLIED]:
        yield from _through(before, after, wnid, "below", (STATED, COOCCURRING), change[IMPLIED])
        yield from _switched(before, after, IMPLIED, "presence implies ancestors")
    if change[ABSENT_IMPLIED]:
        yield from _through(before, after, wnid, "above", (ABSENT_STATED,), change[ABSENT_IMPLIED])
        yield from _switched(before, after, ABSENT_IMPLIED, "absence implies descendants")
    if change[COOCCURRING]:
        yield from _paired(before, after, wnid, change[COOCCURRING])
        yield from _switched(before, after, COOCCURRING, "co-occurrence adds labels")
    if (change[STATED] or change[ABSENT_STATED]) and not moves:
        yield from _restated(before, after, wnid)


def _moves(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """Yield the source categories that were added to a category or removed from it."""
    old, new = before.origins.get(wnid, ()), after.origins.get(wnid, ())
    left = [f"{_called(before, key)} {_left(after, key)}" for key in old if key not in new]
    came = [f"{_called(after, key)} {_came(before, key)}" for key in new if key not in old]
    yield from _few(left, "left it")
    yield from _few(came, "came into it")


def _few(told: list[str], rest: str) -> Iterator[str]:
    """Yield the first `NAMED` causes, then the number of the others."""
    yield from told[:NAMED]
    if len(told) > NAMED:
        yield f"and {len(told) - NAMED:,} more {rest}"


def _called(side: Side, key: Key) -> str:
    """Return a source category as `source:id "name"`."""
    name = side.mappings[key].name
    return f"{key[0]}:{key[1]}" + (f' "{name}"' if name and name != key[1] else "")


def _left(after: Side, key: Key) -> str:
    there = after.mappings.get(key)
    if there is None:
        return "is in no source any more"
    return f"goes into {_name(after, there.into)} now" if there.into else f"is {_fate(there.fate)} now"


def _came(before: Side, key: Key) -> str:
    there = before.mappings.get(key)
    if there is None:
        return "is new in its source"
    return f"came from {_name(before, there.into)}" if there.into else f"was {_fate(there.fate)} before"


def _fate(fate: str) -> str:
    return "left out as is_a" if fate == "is_a" else fate


def _name(side: Side, wnid: str) -> str:
    return side.name(wnid) or wnid


def _through(
    before: Side,
    after: Side,
    wnid: str,
    where: Literal["above", "below"],
    columns: Collection[int],
    change: int,
) -> Iterator[str]:
    """Yield the ancestors or descendants of `wnid` whose own label changes explain the change in its implied labels."""
    old_line, new_line = (getattr(side, where).get(wnid, frozenset()) for side in (before, after))
    gave = {}
    for other in old_line | new_line:
        new = sum(after.labels(other)[i] for i in columns) if other in new_line else 0
        old = sum(before.labels(other)[i] for i in columns) if other in old_line else 0
        told_already = wnid in _within(before, after, other) | _within(after, before, other)
        if (new - old) * change > 0 and not told_already:
            gave[other] = new - old
    told = []
    for other in sorted(gave, key=lambda other: (-abs(gave[other]), other)):
        name, count = after.name(other) or _name(before, other), f"{abs(gave[other]):,}"
        if other not in after.categories:
            told.append(f"{name} {where} it was dropped{_why(before, after, other)}")
        elif other not in before.categories:
            told.append(f"{name} {where} it was added")
        elif other not in new_line:
            told.append(f"{name} is no longer {where} it")
        elif other not in old_line:
            told.append(f"{name} is {where} it now")
        else:
            told.append(f"{name} {where} it has {count} {'more' if change > 0 else 'fewer'}")
    yield from _few(told, f"{where} it")


def _why(before: Side, after: Side, wnid: str) -> str:
    """Return the fate of a dropped category's source categories if all share one and none is used, else ""."""
    there = {after.mappings[key] for key in before.origins.get(wnid, ()) if key in after.mappings}
    fates = {_fate(mapped.fate) for mapped in there if not mapped.into}
    return f": {fates.pop()}" if len(fates) == 1 and not any(mapped.into for mapped in there) else ""


def _within(side: Side, other: Side, wnid: str) -> set[str]:
    """Return the categories of `other` that the source categories of `wnid` map to; empty if `other` has `wnid`."""
    if wnid in other.categories:
        return set()
    return {other.mappings[key].into for key in side.origins.get(wnid, ()) if key in other.mappings}


def _switched(before: Side, after: Side, column: int, rule: str) -> Iterator[str]:
    """Yield a message if a rule adds labels on one side only."""
    old, new = before.totals[column], after.totals[column]
    if old and not new:
        yield f"{rule} no more"
    elif new and not old:
        yield f"{rule} now"


def _paired(before: Side, after: Side, wnid: str, change: int) -> Iterator[str]:
    """Yield the pairs whose labels of a category or its descendants explain the change, those of most labels first."""
    targets = {wnid, *before.below.get(wnid, ()), *after.below.get(wnid, ())}
    used = [
        {key: pair for key, pair in side.pairs.items() if not pair.vetoed and key[1] in targets}
        for side in (before, after)
    ]
    gave = {}
    for key in used[0].keys() | used[1].keys():
        old, new = (_adds(pairs.get(key)) for pairs in used)
        if (new - old) * change > 0:
            gave[key] = new - old
    told = []
    for low, high in sorted(gave, key=lambda key: (-abs(gave[key]), key)):
        side = after if (low, high) in used[1] else before
        names = f"{_name(side, low)} adds {_name(side, high)}"
        exact = all(one.kind == "dataset" for one in (before, after))
        count = f"{'' if exact else 'up to '}{_labels(abs(gave[low, high]))}"
        if (low, high) not in used[0]:
            told.append(f"{names} now: {count}")
        elif (low, high) not in used[1]:
            told.append(f"{names} no longer: {count}")
        else:
            told.append(f"{names}: {count} {'more' if change > 0 else 'fewer'}")
    yield from _few(told, "pairs")


def _adds(pair: Pair | None) -> int:
    return 0 if pair is None else pair.adds


def _labels(count: int) -> str:
    return f"{count:,} {'label' if count == 1 else 'labels'}"


def _restated(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """Yield the sources of a category whose content changed."""
    sources = {source for side in (before, after) for source, _ in side.origins.get(wnid, ())}
    for name in sorted(sources):
        old, new = before.sources.get(name), after.sources.get(name)
        if old and new and old.digest != new.digest:
            yield f"source {name} holds something else"
