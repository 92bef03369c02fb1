"""Why a category has other labels: what came into it or left, above and below it, and which pairs add it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mlimg_build.build.side import COUNTED, Key, Side

__all__ = ["causes"]

NAMED = 2  # causes of one kind that are named; the others are counted
STATED, IMPLIED, COOCCURRING, ABSENT_STATED, ABSENT_IMPLIED = range(len(COUNTED))


def causes(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """What explains the labels that a category has more or fewer, the nearest cause first; may be nothing."""
    change = [new - old for old, new in zip(before.labels(wnid), after.labels(wnid), strict=True)]
    moves = [*_moves(before, after, wnid)]
    if wnid not in after.categories:
        yield _joined("it is no category any more", moves)
    elif wnid not in before.categories:
        yield _joined("it is a new category", moves)
    else:
        yield from moves
    if change[IMPLIED]:
        lines = [_of(side.below, wnid) for side in (before, after)]
        columns = (STATED, COOCCURRING)
        yield from _through(before, after, lines, columns, change[IMPLIED], "below")
        yield from _switched(before, after, IMPLIED, "presence implies ancestors")
    if change[ABSENT_IMPLIED]:
        lines = [_of(side.above, wnid) for side in (before, after)]
        yield from _through(before, after, lines, (ABSENT_STATED,), change[ABSENT_IMPLIED], "above")
        yield from _switched(before, after, ABSENT_IMPLIED, "absence implies descendants")
    if change[COOCCURRING]:
        yield from _paired(before, after, wnid)
        yield from _switched(before, after, COOCCURRING, "co-occurrence adds labels")
    if (change[STATED] or change[ABSENT_STATED]) and not moves:
        yield from _restated(before, after, wnid)


def _joined(said: str, moves: list[str]) -> str:
    return f"{said}: {'; '.join(moves)}" if moves else said


def _moves(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """The source categories that came into a category or left it."""
    old, new = before.origins.get(wnid, ()), after.origins.get(wnid, ())
    left = [f"{_called(before, key)} now goes {_to(after, key)}" for key in old if key not in new]
    came = [f"{_called(after, key)} came {_from(before, key)}" for key in new if key not in old]
    yield from _few(left, "source categories left it")
    yield from _few(came, "source categories came into it")


def _few(told: list[str], rest: str) -> Iterator[str]:
    yield from told[:NAMED]
    if len(told) > NAMED:
        yield f"{len(told) - NAMED} more {rest}"


def _called(side: Side, key: Key) -> str:
    """A source category by its own name."""
    name = side.mappings[key].name
    return f"{key[0]}:{key[1]}" + (f' "{name}"' if name and name != key[1] else "")


def _to(after: Side, key: Key) -> str:
    there = after.mappings.get(key)
    if there is None:
        return "nowhere: no source names it"
    return f"into {_name(after, there.into)}" if there.into else f"nowhere: {there.fate}"


def _from(before: Side, key: Key) -> str:
    there = before.mappings.get(key)
    if there is None:
        return "from the sources"
    return f"from {_name(before, there.into)}" if there.into else f"back, {there.fate} before"


def _name(side: Side, wnid: str) -> str:
    return side.name(wnid) or wnid


def _of(lines: dict[str, frozenset[str]], wnid: str) -> frozenset[str]:
    return lines.get(wnid, frozenset())


def _through(
    before: Side,
    after: Side,
    lines: list[frozenset[str]],
    columns: Collection[int],
    change: int,
    where: str,
) -> Iterator[str]:
    """The categories on the line of another one whose own labels explain the change of what they imply."""
    old_line, new_line = lines
    gave = {}
    for other in old_line | new_line:
        new = sum(after.labels(other)[i] for i in columns) if other in new_line else 0
        old = sum(before.labels(other)[i] for i in columns) if other in old_line else 0
        if (new - old) * change > 0:
            gave[other] = new - old
    told = []
    for other in sorted(gave, key=lambda other: (-abs(gave[other]), other)):
        name, count = after.name(other) or _name(before, other), f"{abs(gave[other]):,}"
        if other not in after.categories:
            told.append(f"{name} {where} it is no category any more")
        elif other not in before.categories:
            told.append(f"{name} {where} it is a new category")
        elif other not in new_line:
            told.append(f"{name} is no longer {where} it")
        elif other not in old_line:
            told.append(f"{name} is {where} it now")
        else:
            told.append(f"{name} {where} it has {count} {'more' if change > 0 else 'fewer'}")
    yield from _few(told, f"categories {where} it changed")


def _switched(before: Side, after: Side, column: int, rule: str) -> Iterator[str]:
    """Says where a rule gives labels on one side only."""
    old, new = before.totals[column], after.totals[column]
    if old and not new:
        yield f"no {rule} any more" if not rule.startswith("co-") else f"{rule} no more"
    elif new and not old:
        yield f"{rule} now"


def _paired(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """The pairs that add a category, or one below it, on one side only."""
    targets = {wnid, *_of(before.below, wnid), *_of(after.below, wnid)}
    used = [
        {key for key, pair in (side.pairs or {}).items() if not pair.vetoed and key[1] in targets}
        for side in (before, after)
    ]
    for keys, side, said in (
        (used[0] - used[1], before, "adds no longer"),
        (used[1] - used[0], after, "adds now"),
    ):
        told = [f"{_name(side, low)} {said} {_name(side, high)}" for low, high in sorted(keys)]
        yield from _few(told, f"pairs that {said.replace('adds', 'add')}")


def _restated(before: Side, after: Side, wnid: str) -> Iterator[str]:
    """The sources of a category that hold something else."""
    sources = {source for side in (before, after) for source, _ in side.origins.get(wnid, ())}
    for name in sorted(sources):
        old, new = before.sources.get(name), after.sources.get(name)
        if old and new and old.digest != new.digest:
            yield f"source {name} holds something else"
