"""Name the rules of a spec, and the contradictions, whose change explains the change in a category's labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mlimg_build.compiler.diff.snapshot import COUNTED, Side
from mlimg_build.compiler.lock.rule_changes import RuleChange

__all__ = ["contradiction_causes", "rule_causes"]

NAMED = 3  # rules or contradictions that are listed; the others are only counted
STANDS = {1: "presence", -1: "absence", 0: "neither"}
EVERY = (*range(len(COUNTED)),)
STATED, IMPLIED, COOCCURRING, ABSENT_STATED, ABSENT_IMPLIED = EVERY

AFFECTS: dict[
    tuple[str, ...], tuple[int, ...]
] = {  # rules → the positions in `COUNTED` of the labels that they affect
    ("annotation", "positives"): (IMPLIED, COOCCURRING),
    ("annotation", "machine_levels"): (IMPLIED, COOCCURRING),
    ("annotation", "negatives"): (ABSENT_IMPLIED,),
    ("annotation", "cooccurrence"): (COOCCURRING,),
    ("annotation", "conflicts"): EVERY,
    ("vocabulary",): EVERY,
    ("hierarchy",): (IMPLIED, COOCCURRING, ABSENT_IMPLIED),
    ("sources",): EVERY,
}
"""Rules that are not listed change no label: of copies, images, splits and the shape of the dataset."""

WITHOUT_EFFECT = {
    ("vocabulary", "allow_lost"),
    ("vocabulary", "mapping", "unresolved"),
    *(("sources", key) for key in ("licence", "author", "rights", "group")),
}


def rule_causes(before: Side, after: Side, wnid: str, changed: Sequence[RuleChange]) -> Iterator[str]:
    """Yield the changed rules that may explain the change in a category's label counts, of `changed` ones.

    A rule that alone can explain a change is a sentence of its own; of several, one or more are the cause.
    """
    counts = zip(before.labels(wnid), after.labels(wnid), strict=True)
    possible = [
        [
            rule.key
            for rule in changed
            if column in _affected(rule) and _concerns(before, after, wnid, rule, column)
        ]
        for column, (old, new) in enumerate(counts)
        if old != new
    ]
    sole = dict.fromkeys(keys[0] for keys in possible if len(keys) == 1)
    others = [*dict.fromkeys(key for keys in possible if len(keys) > 1 for key in keys if key not in sole)]
    yield from (f"{key} changed" for key in sole)
    if len(others) == 1:
        yield f"{others[0]} changed"
    elif others:
        more = f" and {len(others) - NAMED:,} more rules" if len(others) > NAMED else ""
        yield f"one or more of {', '.join(others[:NAMED])}{more} changed"


def _affected(rule: RuleChange) -> tuple[int, ...]:
    path = (rule.path[0], *rule.path[2:3]) if rule.path[0] == "sources" else rule.path[:3]
    if path in WITHOUT_EFFECT:
        return ()
    return next((columns for start, columns in AFFECTS.items() if rule.path[: len(start)] == start), ())


def _concerns(before: Side, after: Side, wnid: str, rule: RuleChange, column: int) -> bool:
    """Return whether what a rule is about occurs where labels of a `column` of a category come from."""
    line = {wnid} if column in (STATED, ABSENT_STATED) else _line(before, after, wnid)
    if rule.path[0] == "sources" and column == COOCCURRING:
        return True  # pairs are learnt from other categories, too
    if rule.path[0] == "sources":
        sides = (before, after)
        return any(
            key[0] == rule.path[1] for side in sides for one in line for key in side.origins.get(one, ())
        )
    if rule.path[0] in ("vocabulary", "hierarchy"):
        return any(_elsewhere(before, after, one) for one in line)
    if rule.path == ("annotation", "conflicts") and before.clashes is not None and after.clashes is not None:
        return bool(_touching(before, after, wnid))
    return True


def _line(before: Side, after: Side, wnid: str) -> set[str]:
    """Return a category with all that is above or below it on either side."""
    sides = (before, after)
    return {wnid}.union(
        *(side.above.get(wnid, ()) for side in sides), *(side.below.get(wnid, ()) for side in sides)
    )


def _elsewhere(before: Side, after: Side, wnid: str) -> bool:
    """Return whether a category has other source categories or other parents on the two sides, or is on one alone."""
    old, new = before.categories.get(wnid), after.categories.get(wnid)
    if old is None or new is None:
        return True
    return old.parents != new.parents or before.origins.get(wnid) != after.origins.get(wnid)


def contradiction_causes(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """Yield the contradictions that concern a category and of which something else stands on the two sides."""
    rows = _touching(before, after, wnid)
    for absent, present in rows[:NAMED]:
        names = [after.name(one) or before.name(one) or one for one in (absent, present)]
        old, new = (_standing(side, absent, present) for side in (before, after))
        count = max(sum(old.values()), sum(new.values()))
        said = f"{names[0]} absent and {names[1]} present contradict"
        where = f"in {count:,} {'image' if count == 1 else 'images'}"
        if not new:
            yield f"{said} {where} no longer"
        elif not old:
            yield f"{said} {where} now, {_told(new)} stands"
        else:
            yield f"{said} {where}: {_told(new)} stands now, {_told(old)} stood before"
    if len(rows) > NAMED:
        yield f"and {len(rows) - NAMED:,} more contradictions"


def _touching(before: Side, after: Side, wnid: str) -> list[tuple[str, str]]:
    """Return the contradicting pairs of categories of both sides that affect a category and differ, by frequency."""
    if before.clashes is None or after.clashes is None:
        return []
    line = _line(before, after, wnid)
    counts: Counter[tuple[str, str]] = Counter()
    for absent, present, _ in {*before.clashes, *after.clashes}:
        both = {absent, present} <= before.categories.keys() & after.categories.keys()
        if both and (absent in line or present in line):
            old, new = (_standing(side, absent, present) for side in (before, after))
            if old != new:
                counts[absent, present] = max(sum(old.values()), sum(new.values()))
    return sorted(counts, key=lambda pair: (-counts[pair], pair))


def _standing(side: Side, absent: str, present: str) -> dict[int, int]:
    """Return what stands of a contradicting pair → how many times."""
    found = side.clashes or {}
    return {kept: count for kept in STANDS if (count := found.get((absent, present, kept), 0))}


def _told(standing: dict[int, int]) -> str:
    """Return what stands as text; if not the same everywhere, with counts."""
    if len(standing) == 1:
        return STANDS[next(iter(standing))]
    return " and ".join(f"{STANDS[kept]} ({count:,})" for kept, count in standing.items())
