"""What to call a category so that nobody takes it for another one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mlimg_build.labels.climbing import Climb
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold

__all__ = ["distinct_names", "qualified_names", "synset_name"]


def synset_name(graph: NounGraph, wnid: str) -> str:
    """The name that NLTK gives a synset, such as `dog.n.01`: its first lemma and which sense of it this is.

    Raises `WordNetError` as `NounGraph.index` does.
    """
    lemma = graph.lemmas(wnid)[0].lower()
    return f"{lemma}.n.{graph.senses(lemma).index(wnid) + 1:02d}"


def distinct_names(graph: NounGraph, wnids: Sequence[str]) -> tuple[str, ...]:
    """A name for each category, no two alike, whatever the order of `wnids`; upper and lower case are alike.

    The first lemma; where categories share it, with the nearest hypernym behind it, as in "crane (wading
    bird)"; where they share that too, with the id instead. Raises `WordNetError` as `NounGraph.index` does.
    """
    return _told_apart(graph, wnids, [graph.name(wnid) for wnid in wnids])


def qualified_names(graph: NounGraph, wnids: Sequence[str]) -> tuple[str, ...]:
    """The same with the nearest hypernym behind every name, for where only a name's meaning tells it apart."""
    return _told_apart(graph, wnids, [*_qualified(graph, wnids)])


def _told_apart(graph: NounGraph, wnids: Sequence[str], names: list[str]) -> tuple[str, ...]:
    shared = _shared(names)
    for i, name in zip(shared, _qualified(graph, [wnids[i] for i in shared]), strict=True):
        names[i] = name
    for i in _shared(names):
        names[i] = f"{graph.name(wnids[i])} ({wnids[i]})"
    return tuple(names)


def _shared(names: Sequence[str]) -> list[int]:
    """The positions of names that occur more than once.

    >>> _shared(["Turkey", "crow", "turkey"])
    [0, 2]
    """
    keys = [fold(name) for name in names]
    counted = Counter(keys)
    return [i for i, key in enumerate(keys) if counted[key] > 1]


def _qualified(graph: NounGraph, wnids: Sequence[str]) -> Iterator[str]:
    climb = Climb.of(graph)
    for wnid in wnids:
        name = graph.name(wnid)
        above = _hypernym(graph, climb, wnid, fold(name))
        yield f"{name} ({above})" if above else name


def _hypernym(graph: NounGraph, climb: Climb, wnid: str, name: str) -> str | None:
    """The name of the nearest hypernym that is called otherwise: `berry (berry)` would say nothing."""
    for level in climb.levels(graph.index(wnid)):
        others = [other for i in level if fold(graph.name(other := graph.wnid(i))) != name]
        if others:
            return graph.name(min(others, key=lambda other: synset_name(graph, other)))
    return None
