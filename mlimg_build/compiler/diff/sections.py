"""Format differences for reviewers: one sentence, then tables, the same for a terminal and a pull request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlimg_build.compiler.diff.changes import (
    Differences,
    Effect,
    Found,
    MappingChange,
    PairChange,
    ParentChange,
    SourceChange,
)
from mlimg_build.compiler.diff.label_changes import Entries
from mlimg_build.compiler.diff.snapshot import Mapped, Pair, SourceFacts
from mlimg_build.quantities import counted, percent

__all__ = ["Section", "sections", "summary"]

RULES = {
    "stated": "stated present",
    "implied": "implied present",
    "cooccurring": "present by co-occurrence",
    "absent_stated": "stated absent",
    "absent_implied": "implied absent",
}
SEVERAL = 6  # most categories or source categories listed in one cell
HEX = re.compile(r"\b[0-9a-f]{40,}\b")


@dataclass(frozen=True, slots=True)
class Section:
    """A table with its heading; `right` are the right-aligned columns of numbers, `folded` sections are details."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[str, ...] = ()
    folded: bool = False


def summary(found: Differences) -> str:
    """Return one sentence, without a full stop, that summarizes the differences.

    >>> counted(1, "category dropped", "categories dropped"), counted(2_000, "label", "labels")
    ('1 category dropped', '2,000 labels')
    """
    if not found.different:
        return "no difference"
    parts = [
        counted(len(rows), f"category {what}", f"categories {what}")
        for rows, what in (
            (found.dropped, "dropped"),
            (found.added, "added"),
            (found.merged, "merged"),
            (found.split, "split"),
            (found.parents, "with other parents"),
        )
        if rows
    ]
    if found.rules:
        parts.insert(0, counted(len(found.rules), "rule", "rules") + " changed")
    parts += [*_mapped_parts(found), *_pair_parts(found)]
    if found.sources:
        parts.append(counted(len(found.sources), "source", "sources") + " changed")
    if found.labels:
        sums = {name: sum(getattr(row, name) for row in found.labels) for name in ("gained", "lost")}
        told = [f"{counted(n, 'label', 'labels')} {name}" for name, n in sums.items() if n]
        inside = counted(found.categories_changed, "category", "categories")
        parts.append(f"{' and '.join(told)} in {inside}")
    elif found.entries is not None and found.entries.different:
        parts.append(f"labels of {counted(found.entries.images, 'image', 'images')} differ")
    if not parts:
        same = "category" if unlike(found) else "category or label"
        parts.append(f"{' and '.join(change.what for change in found.head)} differ, and no {same} does")
    if unlike(found):
        parts.append("labels not compared: the sides hold different fractions")
    if found.level == "patch" and not found.stored_known:
        parts.append("images not compared: not both sides know what is stored of them")
    return ", ".join(parts)


def _mapped_parts(found: Differences) -> Iterator[str]:
    """Yield how many source categories go elsewhere, and of how many only the decision differs."""
    elsewhere = sum(change.elsewhere for change in found.mappings)
    if elsewhere:
        yield counted(elsewhere, "source category", "source categories") + " mapped elsewhere"
    if same := len(found.mappings) - elsewhere:
        other = counted(same, "source category", "source categories")
        yield f"{other} decided otherwise with the same destination"


def _pair_parts(found: Differences) -> Iterator[str]:
    """Yield how many pairs were added, removed and changed."""
    kinds = Counter(change.kind for change in found.pairs)
    told = [f"{kinds[kind]:,} {kind}" for kind in ("added", "removed", "changed") if kinds[kind]]
    if told:
        yield f"pairs of co-occurring categories: {' and '.join(told)}"


def unlike(found: Differences) -> bool:
    """Return whether labels cannot be compared because the sides hold different fractions."""
    return not found.counted and found.entries is None


def sections(found: Differences) -> tuple[Section, ...]:
    """Return the tables of the differences, the most important first; empty if there are none."""
    made = (
        _facts(found),
        _rules(found),
        _categories(found),
        _labels(found),
        *([_entries(found.entries)] if found.entries is not None and found.entries.different else ()),
        _effects(found),
        _mappings(found, "Source categories that are mapped elsewhere", elsewhere=True),
        _mappings(found, "Source categories decided otherwise with the same destination", elsewhere=False),
        _parents(found),
        _pairs(found),
    )
    return tuple(section for section in made if section.rows)


def _facts(found: Differences) -> Section:
    rows = [(change.what, _short(change.before), _short(change.after)) for change in found.head]
    rows += [_source(change) for change in found.sources]
    if found.implied_pairs[0] != found.implied_pairs[1]:
        before, after = found.implied_pairs
        rows.append(("implied pairs", f"{before:,}", f"{after:,}"))
    if rows and unlike(found):
        rows.append(("labels", "not compared:", "the sides hold different fractions"))
    if found.different:
        rows += [("rules", "not compared:", f"{side} does not have them") for side in found.rules_missing]
    if rows and found.rules_unknown and not found.rules_missing:
        keys = _listed(found.rules_unknown)
        rows.append(("rules", "not compared:", f"{keys}, written with variables that are not recorded"))
    return Section("Facts", ("", "before", "after"), tuple(rows))


def _rules(found: Differences) -> Section:
    rows = [(one.key, *(_short(text) for text in one.texts), one.place) for one in found.rules]
    placed = any(one.place for one in found.rules)
    columns = ("rule", "before", "after", *(["line"] if placed else []))
    return Section("Rules that changed", columns, tuple(row[: len(columns)] for row in rows))


def _short(value: str | None) -> str:
    """Return the value with its digests cut to 12 characters."""
    return "none" if value is None else HEX.sub(lambda found: f"{found[0][:12]}…", value)


def _source(change: SourceChange) -> tuple[str, str, str]:
    return f"source {change.name}", _holds(change.before), _holds(change.after)


def _holds(facts: SourceFacts | None) -> str:
    if facts is None:
        return "none"
    counts = ((facts.images, "images"), (facts.statements, "statements"))
    told = [f"{count:,} {what}" for count, what in counts if count is not None]
    return ", ".join([*told, _short(facts.digest)])


def _categories(found: Differences) -> Section:
    def named(wnids: Sequence[str]) -> str:
        return _listed([found.names.get(wnid, wnid) for wnid in wnids])

    rows = [
        ("dropped", _called(row.name, row.wnid), _number(row.labels), _goes(row, found.names, "goes to"))
        for row in found.dropped
    ]
    rows += [
        ("added", _called(row.name, row.wnid), _number(row.labels), _goes(row, found.names, "was in"))
        for row in found.added
    ]
    rows += [
        ("merged", _called(row.name, row.wnid), "", f"holds what was in {named(row.parts)}")
        for row in found.merged
    ]
    rows += [
        ("split", _called(row.name, row.wnid), "", f"what was in it is in {named(row.parts)}")
        for row in found.split
    ]
    columns = ("", "category", "labels", "source categories")
    return Section("Categories", columns, tuple(rows), ("labels",), folded=len(rows) > 20)


def _called(name: str, wnid: str) -> str:
    """Return a category by name and id; names that are ambiguous already contain the id."""
    return name if wnid in name else f"{name} {wnid}"


def _number(labels: Mapping[str, int]) -> str:
    return f"{sum(labels.values()):,}"


def _goes(row: Found, names: Mapping[str, str], where: str) -> str:
    """Return where each source category is on the other side, as text."""
    told = []
    for source, category, to in row.sources:
        place = f"{where} {names[to]}" if to in names else to or "only on this side"
        told.append(f"{source}:{category} {place}")
    return _listed(told) or "none of its own"


def _listed(told: Sequence[str]) -> str:
    more = [f"and {len(told) - SEVERAL:,} more"] if len(told) > SEVERAL else []
    return ", ".join([*told[:SEVERAL], *more])


def _labels(found: Differences) -> Section:
    rows = [(RULES[row.rule], (row.before, row.gained, row.lost, row.after)) for row in found.labels]
    if len(rows) > 1:
        before, gained, lost, after = (sum(counts) for counts in zip(*(c for _, c in rows), strict=True))
        rows.append(("together", (before, gained, lost, after)))
    columns = ("rule", "before", "gained", "lost", "after")
    text = tuple((name, *(f"{count:,}" for count in counts)) for name, counts in rows)
    return Section("Labels by rule, counted by category", columns, text, columns[1:])


def _entries(entries: Entries) -> Section:
    rows = [(f"{RULES[rule]}, gained", f"{count:,}") for rule, count in entries.gained.items()]
    rows += [(f"{RULES[rule]}, lost", f"{count:,}") for rule, count in entries.lost.items()]
    rows += [
        (said, f"{count:,}")
        for said, count in (
            ("present is absent now, or the reverse", entries.turned),
            ("other confidence, rule or origin", entries.other_origin),
        )
        if count
    ]
    rows.append(("images with such a label", f"{entries.images:,} of {entries.compared:,}"))
    rows.append(("for example", ", ".join(entries.examples)))
    return Section("Labels, image by image", ("", "labels"), tuple(rows), ("labels",))


def _effects(found: Differences) -> Section:
    rows = [(_called(row.name, row.wnid), *_effect(row)) for row in found.effects]
    count = f"The {len(rows)} largest effects" if found.categories_changed > len(rows) else "Effects"
    columns = ("category", "before", "after", "labels", "because")
    return Section(count, columns, tuple(rows), ("before", "after"))


def _effect(row: Effect) -> tuple[str, str, str, str]:
    changes = ", ".join(f"{count:+,} {RULES[rule]}" for rule, count in row.changes.items())
    return _number(row.before), _number(row.after), changes, "; ".join(row.because)


def _mappings(found: Differences, title: str, *, elsewhere: bool) -> Section:
    def told(change: MappingChange) -> tuple[str, ...]:
        sides = [_mapped(side, found.names) for side in (change.before, change.after)]
        names = dict.fromkeys(side.name for side in (change.before, change.after) if side)
        shown = " → ".join(name for name in names if name != change.category)
        return f"{change.source}:{change.category}", shown, *sides

    columns = ("source category", "name", "before", "after")
    rows = tuple(told(change) for change in found.mappings if change.elsewhere is elsewhere)
    return Section(title, columns, rows, folded=True)


def _mapped(mapped: Mapped | None, names: Mapping[str, str]) -> str:
    if mapped is None:
        return "not there"
    score = f" {float(mapped.score):g}" if mapped.score and float(mapped.score) < 1 else ""
    relation = f", {mapped.relation}" if mapped.relation not in (None, "", "same_as") else ""
    to = mapped.into or mapped.wnid or ""
    where = _called(names[to], to) if to in names else to
    decided = f"{where} by {mapped.method}{score}{relation}" if where else ""
    if mapped.into:
        return decided
    return f"{mapped.fate}, else {decided}" if decided else mapped.fate


def _parents(found: Differences) -> Section:
    def told(row: ParentChange) -> tuple[str, ...]:
        groups = (row.gained, row.lost, row.above_gained, row.above_lost)
        cells = (_listed([found.names.get(wnid, wnid) for wnid in group]) for group in groups)
        return _called(row.name, row.wnid), *cells

    columns = ("category", "parents gained", "parents lost", "ancestors gained", "ancestors lost")
    return Section(
        "Categories with other parents", columns, tuple(told(row) for row in found.parents), folded=True
    )


def _pairs(found: Differences) -> Section:
    def told(row: PairChange) -> tuple[str, ...]:
        names = (found.names.get(wnid, wnid) for wnid in (row.antecedent, row.consequent))
        adds = [str(pair.adds) if pair and not pair.vetoed else "0" for pair in (row.before, row.after)]
        return *names, _pair(row.before), _pair(row.after), " → ".join(dict.fromkeys(adds))

    columns = ("where there is", "there is", "before", "after", "adds")
    rows = tuple(told(row) for row in found.pairs)
    return Section("Pairs of co-occurring categories", columns, rows, ("adds",), folded=True)


def _pair(pair: Pair | None) -> str:
    if pair is None:
        return "no pair"
    return f"{percent(float(pair.share))}, at least {percent(float(pair.bound))}{', vetoed' if pair.vetoed else ''}"
