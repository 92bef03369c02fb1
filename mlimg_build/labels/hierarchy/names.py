"""Names of categories that distinguish each from all others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from mlimg_build.labels.hierarchy.walks import Climb
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold

__all__ = ["distinct_names", "first_named", "qualified_names", "synset_name", "synset_named"]

SYNSET_NAME = re.compile(r"(.+)\.n\.([0-9]{1,3})")
FARTHEST = 2  # hops; higher synsets are called matter and entity, and tell people less than an id


def synset_name(graph: NounGraph, wnid: str) -> str:
    """Return the name that NLTK gives a synset, such as `dog.n.01`: its first lemma and the number of the sense.

    Raises:
        WordNetError: those of `NounGraph.index`.
    """
    lemma = graph.lemmas(wnid)[0].lower()
    return f"{lemma}.n.{graph.senses(lemma).index(wnid) + 1:02d}"


def synset_named(graph: NounGraph, name: str) -> str | None:
    """Return the synset that NLTK calls so, by any of its lemmas; None if the release has none.

    >>> from mlimg_build.wordnet import load
    >>> [synset_named(load(), name) for name in ("tench.n.01", "Dog.n.1", "dog.n.99", "dog.v.01", "tench")]
    ['n01440764', 'n02084071', None, None, None]
    """
    parts = SYNSET_NAME.fullmatch(name)
    senses = graph.senses(parts[1]) if parts else ()
    number = int(parts[2]) if parts else 0
    return senses[number - 1] if 1 <= number <= len(senses) else None


def distinct_names(graph: NounGraph, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return a distinct name for each category, independent of the order of `wnids`; upper and lower case are equal.

    It is the first lemma; if categories share it, with a hypernym behind it that distinguishes them, as in "crane
    (wading bird)": the nearest one or the next, or else the id.

    Raises:
        WordNetError: those of `NounGraph.index`.
        ValueError: if a category is given twice.
    """
    return _told_apart(graph, wnids, [graph.name(wnid) for wnid in wnids])


def qualified_names(graph: NounGraph, wnids: Sequence[str]) -> tuple[str, ...]:
    """Return the same with a hypernym behind every name, for categories that share a lemma that is not the first."""
    return _told_apart(graph, wnids, [None] * len(wnids))


def _told_apart(graph: NounGraph, wnids: Sequence[str], given: Sequence[str | None]) -> tuple[str, ...]:
    """Return the names given; a shared one is replaced by its first qualified name that no other category has."""
    if len(set(wnids)) < len(wnids):
        raise ValueError("a category that stands twice has no name of its own")
    climb = Climb.of(graph)
    farther = [_qualified(graph, climb, wnid) for wnid in wnids]
    names = [name or next(others) for name, others in zip(given, farther, strict=True)]
    while shared := _shared(names):
        for i in shared:
            names[i] = next(farther[i])
    return tuple(names)


def _shared(names: Sequence[str]) -> list[int]:
    """Return the positions of names that occur more than once.

    >>> _shared(["Turkey", "crow", "turkey"])
    [0, 2]
    """
    keys = [fold(name) for name in names]
    counted = Counter(keys)
    return [i for i, key in enumerate(keys) if counted[key] > 1]


def _qualified(graph: NounGraph, climb: Climb, wnid: str) -> Iterator[str]:
    """Yield the name of a synset with a hypernym behind it, nearest first, and last with its id.

    A hypernym of the same name is skipped, as `berry (berry)` distinguishes nothing.
    """
    name = graph.name(wnid)
    for level in islice(climb.levels(graph.index(wnid)), FARTHEST):
        above = [graph.wnid(i) for i in level]
        above = [other for other in above if fold(graph.name(other)) != fold(name)]
        if above:
            yield f"{name} ({graph.name(first_named(graph, above))})"
    yield f"{name} ({wnid})"


def first_named(graph: NounGraph, wnids: Sequence[str]) -> str:
    """Return the synset whose name (`synset_name`) sorts first."""
    return wnids[0] if len(wnids) == 1 else min(wnids, key=lambda wnid: synset_name(graph, wnid))
