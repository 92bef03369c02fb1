"""What people decide about source categories: each with its candidates and some of its images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.compiler.facts.noun_search import chains
from mlimg_build.compiler.facts.unsigned_rows import described
from mlimg_build.compiler.lint.mapping_review import reviewed_rows
from mlimg_build.compiler.lint.review_pictures import ImagePlace, example_images
from mlimg_build.compiler.lint.rule_words import found_before, rule_words
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.errors import Problem, SpecError
from mlimg_build.labels import Alternative, MappedCategory, Named, decide
from mlimg_build.sources import open_source
from mlimg_build.spec import Spec, nearest
from mlimg_build.wordnet import NounGraph

__all__ = [
    "CERTAIN",
    "Candidate",
    "ReviewItem",
    "candidates_of",
    "folder_of",
    "picture_paths",
    "review_items",
]

CERTAIN = 0.9  # score from which a decision is in no doubt, unless the spec sets `accept_from`
MOST = 9  # candidates, one for each key of a digit


@dataclass(frozen=True, slots=True)
class Candidate:
    """A synset that a category may be: its lemmas, the way up, how likely it is, what it rests on, and its gloss."""

    wnid: str
    synset: str
    chain: tuple[str, ...]
    score: float
    relation: str
    near: str  # the lemma that is spelt nearly so, "" if it is no near spelling
    gloss: str  # "" without one


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A source category that is to be decided; `images` counts those that state it present."""

    source: str
    category: str
    name: str
    images: int
    wnid: str  # what a rule took, "" for nothing
    method: str
    evidence: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    pictures: tuple[ImagePlace, ...]
    reviewer: str
    rule: str  # what a rule took, in words; "" if people decided

    @property
    def key(self) -> tuple[str, str]:
        """The source and the id of the category."""
        return self.source, self.category

    @property
    def called(self) -> str:
        """The name, or the id of a category without one."""
        return self.name or self.category


def review_items(
    plan: Plan,
    pictures: int,
    *,
    whole: bool = False,
    names: Collection[str] = (),
    rows: Mapping[tuple[str, str], Mapping[str, str]] | None = None,
) -> list[ReviewItem]:
    """Return the categories in doubt that nobody has signed, in the order of `mlimg map`.

    In doubt are names without a synset, names that may mean something else (see `review_rows`), and scores below
    `accept_from`, or else `CERTAIN`. Words for a missing value are not. With `whole` all others follow; with `names`,
    the names or ids of categories, these alone are returned. `rows` are those of the review's CSV: what a rule had
    found of a signed one is there.

    Raises:
        SpecError: `category-unknown` for the first of `names` that no category has which is decided by its name.
    """
    mapping = plan.loaded.spec.vocabulary.mapping
    certain = CERTAIN if mapping.accept_from is None else mapping.accept_from
    found = reviewed_rows(plan.loaded.spec, plan.facts)
    asked = {(row.decision.source, row.decision.id) for row, doubts in found if _asked(row, doubts, certain)}
    if names:
        found = _named(found, names)
    else:
        found.sort(key=lambda one: (one[0].decision.source, one[0].decision.id) not in asked)
        found = found if whole else found[: len(asked)]
    places = _pictures(plan, [row for row, _ in found], pictures)
    return [_item(plan.graph, row, doubts, places, rows or {}) for row, doubts in found]


def _asked(row: MappedCategory, doubts: tuple[str, ...], certain: float) -> bool:
    return not row.decision.reviewer and _in_doubt(row, bool(doubts), certain)


def _named(
    found: list[tuple[MappedCategory, tuple[str, ...]]], names: Collection[str]
) -> list[tuple[MappedCategory, tuple[str, ...]]]:
    """Return the rows with one of the names or ids, in the order of the names."""
    by_name: dict[str, list[tuple[MappedCategory, tuple[str, ...]]]] = defaultdict(list)
    for one in found:
        for text in {_folded(one[0].decision.name), _folded(one[0].decision.id)}:
            by_name[text].append(one)
    for name in names:
        if _folded(name) not in by_name:
            near = nearest(_folded(name), [*by_name])
            hint = f'did you mean "{near}"?' if near else "`mlimg map SPEC` writes all names into a CSV"
            message = f"no category that is decided by its name is called {name!r}"
            raise SpecError(Problem("category-unknown", message, hint=hint))
    chosen = {
        (one[0].decision.source, one[0].decision.id): one for name in names for one in by_name[_folded(name)]
    }
    return [*chosen.values()]


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def candidates_of(name: str, graph: NounGraph) -> tuple[Candidate, ...]:
    """Return what a word may mean or be a misspelling of, the likeliest first; an id is itself."""
    if name in graph:
        return (_candidate(graph, Alternative(name, 1.0)),)
    (decision,) = decide([Named("", name, name)], graph)
    taken = [Alternative(decision.wnid, decision.score, decision.relation)] if decision.wnid else []
    return tuple(_candidate(graph, one) for one in [*taken, *decision.alternatives][:MOST])


def picture_paths(plan: Plan, item: ReviewItem) -> list[str]:
    """Return where the pictures of a category lie; of one in a tar, the tar and the place in it."""
    return [
        str(root / one.in_words) if (root := folder_of(plan.loaded.spec, one.source)) else one.in_words
        for one in item.pictures
    ]


def folder_of(spec: Spec, source: str) -> Path | None:
    """Return the folder that the paths of a source's images are relative to, None if they are URLs."""
    return open_source(source, spec.sources[source]).root


def _in_doubt(row: MappedCategory, doubtful: bool, certain: float) -> bool:
    if row.fate in ("excluded", "no_value", "dropped"):
        return False
    return doubtful or row.decision.wnid is None or row.decision.score < certain


def _item(
    graph: NounGraph,
    row: MappedCategory,
    doubts: tuple[str, ...],
    places: dict[tuple[str, str], list[ImagePlace]],
    rows: Mapping[tuple[str, str], Mapping[str, str]],
) -> ReviewItem:
    decision = row.decision
    key = (decision.source, decision.id)
    taken = [Alternative(decision.wnid, decision.score, decision.relation)] if decision.wnid else []
    candidates = tuple(_candidate(graph, one) for one in [*taken, *decision.alternatives])
    evidence = (*doubts, *decision.evidence)
    if decision.reviewer and key in rows:
        found = (_candidate(graph, one) for one in found_before(rows[key], graph))
        candidates = (*candidates, *found) if rows[key].get("alternatives") else candidates
        evidence = (rows[key].get("evidence", ""),) if rows[key].get("evidence") else evidence
    if decision.reviewer and len(candidates) <= len(taken):  # nothing is kept: as the name alone
        candidates = (*candidates, *candidates_of(decision.name or decision.id, graph))
    return ReviewItem(
        decision.source,
        decision.id,
        decision.name,
        row.images,
        decision.wnid or "",
        decision.method,
        evidence,
        _each_once(candidates)[:MOST],
        tuple(places.get(key, ())),
        decision.reviewer,
        rule_words(decision, graph),
    )


def _each_once(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    first: dict[str, Candidate] = {}
    for one in candidates:
        first.setdefault(one.wnid, one)
    return tuple(first.values())


def _candidate(graph: NounGraph, one: Alternative) -> Candidate:
    way: tuple[str, ...] = next(chains(graph, one.wnid), ())
    names = tuple(graph.name(above) for above in way)
    synset, gloss = described(graph, one.wnid), graph.gloss(one.wnid)
    return Candidate(one.wnid, synset, names, one.score, one.relation, one.near, gloss)


def _pictures(plan: Plan, rows: list[MappedCategory], count: int) -> dict[tuple[str, str], list[ImagePlace]]:
    found: dict[tuple[str, str], list[ImagePlace]] = {}
    by_source = defaultdict(set)
    for row in rows:
        by_source[row.decision.source].add(row.decision.id)
    for catalog in plan.inputs.catalogs:
        wanted = by_source.get(catalog.name)
        if not wanted or not count:
            continue
        numbers = {i: one.id for i, one in enumerate(catalog.categories) if one.id in wanted}
        least = plan.loaded.spec.sources[catalog.name].min_confidence
        for number, places in example_images(catalog, numbers, count, least).items():
            found[catalog.name, numbers[number]] = places
    return found
