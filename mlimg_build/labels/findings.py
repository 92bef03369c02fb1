"""Findings that people who make a dataset should review: categories that may not mean what they seem to mean."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.hierarchy.differences import Departures, difference
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy
from mlimg_build.labels.hierarchy.names import distinct_names, qualified_names
from mlimg_build.quantities import percent
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.closure import reach
from mlimg_build.wordnet.morphology import fold

__all__ = ["KINDS", "Finding", "lint"]

KINDS = {
    "parent-lost": "categories that lose ancestors of WordNet in the tree; counted are the (category, ancestor) pairs",
    "parent-added": "categories with ancestors that WordNet does not give them; counted are the pairs",
    "same-as-parent": "categories with exactly the images of a parent; counted are the images",
    "empty": "categories without an image; counted are those below them without one, themselves included",
    "homonym": "categories that share a name; counted are the categories",
    "person": "categories of people; counted are the images",
    "abstract": "categories that WordNet calls abstractions, which photographs may not show; counted are the images",
    "general": "categories so high in WordNet that they say nearly nothing of an image; counted are the images",
    "everywhere": "categories that nearly every image shows, so that they tell none apart; counted are the images",
}
"""The kinds of findings in the order in which they are listed, each with what is counted."""

TOP = 3  # steps to the top, of which no way up from a synset that says nearly nothing has more
EVERYWHERE = 0.95  # share of all images
FEWEST = 20  # images, with fewer of which nothing is everywhere

SHOWN = 4  # ancestors named in one sentence

Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to review: a kind, the category it is about, related categories, a count, and one sentence."""

    kind: str
    wnid: str
    related: tuple[str, ...]
    count: int
    message: str


@dataclass(frozen=True, slots=True)
class _Categories:
    graph: NounGraph
    wnids: Sequence[str]
    hierarchy: Hierarchy
    names: Sequence[str]

    def finding(self, kind: str, category: int, related: Iterable[int], count: int, message: str) -> Finding:
        others = tuple(sorted(self.wnids[i] for i in related))
        return Finding(kind, self.wnids[category], others, count, message)


def lint(
    graph: NounGraph,
    wnids: Sequence[str],
    hierarchy: Hierarchy,
    *,
    positives: Ints | None = None,
    negatives: Ints | None = None,
    shared: Ints | None = None,
    dag: Hierarchy | None = None,
    names: Sequence[str] | None = None,
    images: int = 0,
) -> tuple[Finding, ...]:
    """Return every finding, kind by kind in the order of `KINDS`, the largest count first, then by name and id.

    `positives[i]` counts the images with category i present; without it there are no findings about images.
    `negatives[i]` counts those where it is known to be absent, which only the messages say.
    `shared` is the result of `shared_images`; it can be left out only if presence implies every ancestor.
    `dag` is WordNet's order, with the parts and joins of the spec, if `hierarchy` is a tree. `names` are
    `distinct_names` unless given. `images` is the number of all images; without it nothing is everywhere.

    Raises:
        ValueError: if the lengths differ, or if `shared` is missing and a category has more images than a parent.
        WordNetError: those of `NounGraph.index`.
    """
    _require_lengths(len(hierarchy), wnids, positives, negatives, dag, names)
    made = _Categories(graph, wnids, hierarchy, distinct_names(graph, wnids) if names is None else names)
    found = [
        *_homonyms(made),
        *_people(made, positives),
        *_abstract(made, positives),
        *_general(made, positives),
    ]
    if dag is not None:
        apart = difference(dag, hierarchy)
        found += _lost(made, apart.lost, dag)
        found += _added(made, apart.added)
    if positives is not None:
        found += _empty(made, positives, np.zeros(len(wnids), np.int64) if negatives is None else negatives)
        found += _everywhere(made, positives, images)
        found += _same(made, positives, _shared(hierarchy, positives, shared))
    name = dict(zip(wnids, made.names, strict=True))
    turn = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda one: (turn[one.kind], -one.count, fold(name[one.wnid]), one.wnid)))


def _require_lengths(
    n: int,
    wnids: Sequence[str],
    positives: Ints | None,
    negatives: Ints | None,
    dag: Hierarchy | None,
    names: Sequence[str] | None,
) -> None:
    given = {"wnids": wnids, "positives": positives, "negatives": negatives, "dag": dag, "names": names}
    wrong = {name: len(column) for name, column in given.items() if column is not None and len(column) != n}
    if wrong:
        raise ValueError(f"the hierarchy has {n} categories, but the lengths are {wrong}")


def _lost(made: _Categories, lost: Departures, dag: Hierarchy) -> Iterator[Finding]:
    for origin, ancestors, pairs, below in _by_origin(lost, dag):
        more = f", nor {_are(below)} below it" if below else ""
        message = f"{made.names[origin]} is not under {_listed(made, ancestors)} in the tree{more}"
        yield made.finding("parent-lost", origin, ancestors, pairs, message)


def _added(made: _Categories, added: Departures) -> Iterator[Finding]:
    for origin, ancestors, pairs, below in _by_origin(added, made.hierarchy):
        more = f", and so {_are(below)} below it" if below else ""
        message = (
            f"{made.names[origin]} is under {_listed(made, ancestors)}, which WordNet does not say{more}"
        )
        yield made.finding("parent-added", origin, ancestors, pairs, message)


def _by_origin(departures: Departures, order: Hierarchy) -> Iterator[tuple[int, list[int], int, int]]:
    """Yield for each origin: its nearest ancestors concerned, the number of its pairs, that of categories below it."""
    own: dict[int, list[int]] = defaultdict(list)
    pairs: dict[int, int] = defaultdict(int)
    below: dict[int, set[int]] = defaultdict(set)
    columns = (departures.category, departures.ancestor, departures.origin)
    for category, ancestor, origin in zip(*(column.tolist() for column in columns), strict=True):
        pairs[origin] += 1
        if category == origin:
            own[origin].append(ancestor)
        else:
            below[origin].add(category)
    for origin, ancestors in own.items():
        implied = set().union(*(_row(order, ancestor) for ancestor in ancestors))
        nearest = [ancestor for ancestor in ancestors if ancestor not in implied]
        yield origin, nearest, pairs[origin], len(below[origin])


def _row(order: Hierarchy, category: int) -> list[int]:
    above: list[int] = order.hops.indices[
        order.hops.indptr[category] : order.hops.indptr[category + 1]
    ].tolist()
    return above


def _homonyms(made: _Categories) -> Iterator[Finding]:
    """Yield one finding per set of categories, however many lemmas they share."""
    having: dict[str, list[int]] = defaultdict(list)
    for i, wnid in enumerate(made.wnids):
        for lemma in dict.fromkeys(map(fold, made.graph.lemmas(wnid))):
            having[lemma].append(i)
    lemmas: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for lemma, categories in having.items():
        if len(categories) > 1:
            lemmas[tuple(sorted(categories, key=lambda i: made.wnids[i]))].append(lemma)
    involved = sorted({i for group in lemmas for i in group})
    called = qualified_names(made.graph, [made.wnids[i] for i in involved])
    name = dict(zip(involved, called, strict=True))
    for group, common in lemmas.items():
        quoted = _and([f'"{lemma.replace("_", " ")}"' for lemma in sorted(common)])
        message = f"{quoted} may mean {_and([name[i] for i in group])}"
        yield made.finding("homonym", group[0], group[1:], len(group), message)


def _people(made: _Categories, positives: Ints | None) -> Iterator[Finding]:
    for i in np.flatnonzero(_under(made, "person")).tolist():
        message = f"{made.names[i]} is a category of people"
        yield made.finding("person", i, (), _count(positives, i), message)


def _abstract(made: _Categories, positives: Ints | None) -> Iterator[Finding]:
    for i in np.flatnonzero(_under(made, "abstraction") & ~_under(made, "physical_entity")).tolist():
        message = f"{made.names[i]} is an abstraction in WordNet and nothing physical"
        yield made.finding("abstract", i, (), _count(positives, i), message)


def _general(made: _Categories, positives: Ints | None) -> Iterator[Finding]:
    """Yield the unique beginners (noun.Tops) at most `TOP` steps below the top by every way: entity, object, whole.

    Abstractions are found as such. A person is six steps from the top by its longest way, and no finding.
    """
    graph = made.graph
    if "noun.Tops" not in graph.content.lexnames:
        return
    beginner = graph.content.lexfiles == graph.content.lexnames.index("noun.Tops")
    child, parent = np.concatenate(
        [graph.content.pairs[name] for name in ("hypernym", "instance_hypernym")]
    ).T
    abstract = _under(made, "abstraction") & ~_under(made, "physical_entity")
    for i in np.flatnonzero(beginner[graph.indices(made.wnids)] & ~abstract).tolist():
        wnid = made.wnids[i]
        ways, steps = np.array([graph.index(wnid)]), 0  # all that is `steps` above it
        while steps <= TOP and len(higher := np.unique(parent[np.isin(child, ways)])):
            ways, steps = higher, steps + 1
        if steps <= TOP:
            below = len(graph.descendants(wnid))
            message = f"{made.names[i]} is nearly at the top of WordNet, with {below:,} synsets below it"
            yield made.finding("general", i, (), _count(positives, i), message)


def _everywhere(made: _Categories, positives: Ints, images: int) -> Iterator[Finding]:
    for i in np.flatnonzero(positives > EVERYWHERE * images).tolist() if images >= FEWEST else ():
        share = int(positives[i]) / images
        message = f"{made.names[i]} is in {percent(share)} of the images"
        yield made.finding("everywhere", i, (), int(positives[i]), message)


def _under(made: _Categories, lemma: str) -> npt.NDArray[np.bool_]:
    """Return which categories are that synset or below it; it is found by lemma, as ids differ between releases."""
    graph = made.graph
    child, parent = np.concatenate(
        [graph.content.pairs[name] for name in ("hypernym", "instance_hypernym")]
    ).T
    inside = np.zeros(len(graph), dtype=np.bool_)
    for wnid in graph.senses(lemma):
        if graph.lexname(wnid) == "noun.Tops":
            top = graph.index(wnid)
            inside[top] = True
            inside[reach(top, parent, child, len(graph))] = True
    return inside[graph.indices(made.wnids)]


def _count(positives: Ints | None, category: int) -> int:
    return 0 if positives is None else int(positives[category])


def _empty(made: _Categories, positives: Ints, negatives: Ints) -> Iterator[Finding]:
    down = made.hierarchy.down
    for i in np.flatnonzero(positives == 0).tolist():
        below = down.indices[down.indptr[i] : down.indptr[i + 1]]
        others = int((positives[below] == 0).sum())
        if known := int(negatives[i]):
            more = f", nor {_are(others, '', '').strip()} below it" if others else ""
            not_to = f"{known:,} {'is' if known == 1 else 'are'} known not to"
            message = f"no image shows {made.names[i]} ({not_to}){more}"
        else:
            more = f", nor {_are(others, 'has', 'have')} below it" if others else ""
            message = f"{made.names[i]} has no image{more}"
        yield made.finding("empty", i, (), 1 + others, message)


def _shared(hierarchy: Hierarchy, positives: Ints, shared: Ints | None) -> Ints:
    parents = hierarchy.parents
    if shared is not None:
        if len(shared) != parents.nnz:
            raise ValueError(f"the hierarchy has {parents.nnz} edges, but `shared` has {len(shared)} counts")
        return shared
    child = np.repeat(positives, np.diff(parents.indptr))
    if (child > positives[parents.indices]).any():
        raise ValueError("presence does not imply every ancestor here, so `shared` is needed")
    return child


def _same(made: _Categories, positives: Ints, shared: Ints) -> Iterator[Finding]:
    parents = made.hierarchy.parents
    child = np.repeat(np.arange(len(positives)), np.diff(parents.indptr))
    above = positives[parents.indices]
    alike = (shared > 0) & (shared == above) & (shared == positives[child])
    same: dict[int, list[int]] = defaultdict(list)
    for category, parent in zip(child[alike].tolist(), parents.indices[alike].tolist(), strict=True):
        same[category].append(parent)
    for category, related in same.items():
        message = f"{made.names[category]} has exactly the images of {_listed(made, related)}"
        yield made.finding("same-as-parent", category, related, int(positives[category]), message)


def _listed(made: _Categories, categories: Sequence[int]) -> str:
    names = [made.names[i] for i in sorted(categories, key=lambda i: made.wnids[i])[:SHOWN]]
    more = len(categories) - SHOWN
    return _and([*names, f"{more} more"] if more > 0 else names)


def _are(categories: int, one: str = "is", many: str = "are") -> str:
    """Return the verb and the number of categories.

    >>> _are(1), _are(2, "has", "have")
    ('is 1 category', 'have 2 categories')
    """
    return f"{one} 1 category" if categories == 1 else f"{many} {categories:,} categories"


def _and(names: Sequence[str]) -> str:
    """Return the names as a list in English.

    >>> _and(["dog"]), _and(["dog", "cat", "horse"])
    ('dog', 'dog, cat and horse')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
