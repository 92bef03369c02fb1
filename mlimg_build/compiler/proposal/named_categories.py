"""Tell for each category of the sources what its name was taken for, or propose it as a category of one's own."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlimg_build.category_ids import loose_name, own_slugs
from mlimg_build.compiler.facts.unused_categories import LOST, REASONS
from mlimg_build.compiler.plan_stage import Understanding
from mlimg_build.compiler.proposal.name_questions import COMPARED, kinds_of, near_names, near_words, noun_text
from mlimg_build.labels import MappedCategory
from mlimg_build.quantities import counted
from mlimg_build.text_limits import NAME, over
from mlimg_build.wordnet import NounGraph

__all__ = ["LISTED", "NamedCategories", "OwnCategory", "named_categories", "taken_lines"]

MOST = 100_000  # own categories that are proposed
COMPARED_NAMES = 2000  # of which so many are compared with other names
LISTED = 40  # categories that are told one by one
SURE = 0.8  # score from which a decision is told as sure


class OwnCategory(NamedTuple):
    """A category that a spec adds: what it is a kind of, if that is known, a remark, and which category it is."""

    slug: str
    name: str
    below: str | None
    remark: str
    source: str
    category: str
    misspelt: bool  # whether a remark asks for another spelling


@dataclass(frozen=True, slots=True)
class NamedCategories:
    """The categories that are proposed as own ones, the sources of which all are, and what to say about the others."""

    own: tuple[OwnCategory, ...] = ()
    mostly: dict[str, tuple[int, int]] = field(default_factory=dict)  # source → names that need it, names
    left: int = 0  # names that cannot be own ones: too many, too long, or with a control character

    def declared(self) -> list[OwnCategory]:
        """Return the own categories, one of each slug."""
        first: dict[str, OwnCategory] = {}
        for one in self.own:
            first.setdefault(one.slug, one)
        return [*first.values()]


def named_categories(found: Understanding) -> NamedCategories:
    """Return the own categories to be proposed, those in the most images first.

    They are those whose names led to nothing or to their head word only. Where that is so of most names of a source,
    all its names are proposed, below nothing: a noun that one of many company words happens to be is likely another
    thing.
    """
    unused = {(one.source, one.category): one for one in found.unused}
    rows: dict[str, list[MappedCategory]] = defaultdict(list)
    for row in found.placed:
        reason = unused[row.decision.source, row.decision.id].reason if row.fate != "used" else ""
        if row.decision.method != "same_id" and reason in ("", *LOST):
            rows[row.decision.source].append(row)
    chosen: list[tuple[str, MappedCategory, Sequence[MappedCategory]]] = []
    mostly: dict[str, tuple[int, int]] = {}
    left = 0
    for source, named in rows.items():
        ranked = sorted(named, key=lambda row: (-row.images, row.decision.id))
        need = [row for row in ranked if row.fate != "used"]
        if 2 * len(need) > len(ranked) > 2:
            mostly[source], need = (len(need), len(ranked)), ranked
        can = [row for row in need if _can_be_shown(_name(row))][: max(MOST - len(chosen), 0)]
        left += len(need) - len(can)
        chosen += [(source, row, ranked[:COMPARED] if len(chosen) < COMPARED_NAMES else ()) for row in can]
    slugs = own_slugs((_name(row) for _, row, _ in chosen), map(_name, found.placed))
    by_name = {loose_name(name): slug for name, slug in slugs.items()}
    own = [
        _own(
            row,
            unused[source, row.decision.id].reason if row.fate != "used" else "",
            above,
            found.graph,
            by_name[loose_name(_name(row))],
            placed=source not in mostly,
        )
        for source, row, above in chosen
    ]
    return NamedCategories(tuple(own), mostly, left)


def _name(row: MappedCategory) -> str:
    return row.decision.name or row.decision.id


def _can_be_shown(name: str) -> bool:
    """Return whether a name can be that of an own category: neither too long nor with a control character."""
    kinds = map(unicodedata.category, "".join(name.split()))
    return not over(name, NAME) and not {"Cc", "Cs"} & {*kinds}


def _own(
    row: MappedCategory,
    reason: str,
    named: Sequence[MappedCategory],
    graph: NounGraph,
    slug: str,
    *,
    placed: bool,
) -> OwnCategory:
    """Return a category as an own one, below its head word if that is all that is known and it is to be `placed`.

    Its name is compared with those of `named`.
    """
    name, decision = _name(row), row.decision
    above = [_name(one) for one in named if one.images >= row.images]
    asked = list(dict.fromkeys([*near_names(name, above), *near_words(decision)]))
    questions = [f"is it {' or '.join(asked)}?"] if asked else []
    if reason == "is_a":
        questions.append(f"is it a kind of {_noun(row, graph)}?")
        questions += filter(None, [kinds_of(graph, decision.wnid or "", name)])
    parts = [counted(row.images, "image")]
    if reason not in ("", "unresolved", "is_a"):
        parts.append(REASONS[reason].meaning)
    if not reason and decision.wnid is not None:
        parts.append(f"as a noun {_noun(row, graph)}")
    remark = "; ".join([*parts, " ".join(questions)] if questions else parts)
    below = decision.wnid if reason == "is_a" and placed else None
    return OwnCategory(slug, " ".join(name.split()), below, remark, decision.source, decision.id, bool(asked))


def _noun(row: MappedCategory, graph: NounGraph) -> str:
    """Return the noun that was found for a category, with its score."""
    decision = row.decision
    unsure = ", unsure" if decision.score < SURE else ""
    return f"{noun_text(graph, decision.wnid or '')}, {decision.score:.2f}{unsure}"


def taken_lines(found: Understanding) -> Iterator[str]:
    """Yield a line for each name that became a noun of WordNet or is no label; of very many the unsure ones."""
    rows = [row for row in found.placed if row.decision.method not in ("same_id", "own", "file")]
    used = [row for row in rows if row.fate == "used" and row.decision.wnid is not None]
    if len({_taken(row, found.graph) for row in used}) > LISTED:
        used.sort(key=lambda row: (row.decision.score, row.decision.id))
    told = [*dict.fromkeys(_taken(row, found.graph) for row in used)]
    unsure = [one for one in told if one.endswith("unsure")]
    shown = told if len(told) <= LISTED else unsure[:LISTED]
    yield from shown
    if len(told) > len(shown):
        more = len(unsure) - len(shown)
        if more > 0:
            yield f"and {more:,} more that are unsure"
        yield f"and {len(told) - len(unsure):,} more with a score of at least {SURE}"
    for row in rows:
        if row.fate == "no_value":
            yield f"{_name(row)}: {counted(row.images, 'image')}, {REASONS['no_value'].meaning}, so no label"
    by_id = sum(row.decision.method == "same_id" for row in found.placed)
    if by_id and used:
        yield f"and {by_id:,} by their ids"


def _taken(row: MappedCategory, graph: NounGraph) -> str:
    return f"{_name(row)}: {'a kind of ' * row.narrower}{_noun(row, graph)}"
