"""A noun graph with categories of one's own: nodes behind those of WordNet, or without any of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlimg_build.category_ids import OWN
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet.closure import find_cycle
from mlimg_build.wordnet.closure import from_pairs as matrix_of
from mlimg_build.wordnet.content import RELATIONS, Content
from mlimg_build.wordnet.graph import NounGraph, OwnNoun
from mlimg_build.wordnet.morphology import fold
from mlimg_build.wordnet.wnids import FIRST_OWN

__all__ = ["own_cycle", "with_own"]

LEXNAME = "noun.own"  # the lexicographer file of a node that lies below nothing


def with_own(graph: NounGraph | None, own: Sequence[OwnNoun]) -> NounGraph:
    """Return `graph` with the nodes of `own` behind its own ones, in the order of their ids; None is a graph of none.

    Each lies below its parents as a hyponym does, in the lexicographer file of the first of them, and its name and its
    slug are lemmas of it. Without `own` the graph itself is returned.

    Raises:
        WordNetError: "unknown-synset" for a parent that neither the graph nor `own` has, "cycle".
        ValueError: if an id is given twice, or neither graph nor node is given.
    """
    if graph is not None and not own:
        return graph
    if not own or (graph is not None and graph.own):
        raise ValueError("a graph has nodes, and gets those of a spec once")
    nodes = sorted(own, key=lambda one: one.id)
    if twice := [one for one, times in Counter(node.id for node in nodes).items() if times > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    if cycle := own_cycle(nodes):
        message = f"own categories go round in a circle: {' → '.join(cycle)}"
        hint = "leave out one `below`"
        raise WordNetError(Problem("cycle", message, hint=hint))
    base = graph.content if graph is not None else None
    first = len(graph) if graph is not None else 0
    number = {node.id: first + i for i, node in enumerate(nodes)}

    def index(wnid: str) -> int:
        if wnid in number:
            return number[wnid]
        if graph is None:
            raise WordNetError(Problem("unknown-synset", f"there is no own category {wnid}"))
        return graph.index(wnid)

    edges = sorted((number[node.id], index(parent)) for node in nodes for parent in {*node.below})
    content = _extended(base, nodes, edges, first)
    return NounGraph(content, tuple(nodes), graph)


def own_cycle(own: Sequence[OwnNoun]) -> tuple[str, ...]:
    """Return the ids along a cycle among own categories, the first again as the last; () if there is none."""
    number = {node.id: i for i, node in enumerate(own)}
    pairs = [(i, number[parent]) for i, node in enumerate(own) for parent in node.below if parent in number]
    edges = matrix_of(np.array(pairs, dtype=np.int32).reshape(-1, 2), len(own))
    return tuple(own[i].id for i in find_cycle(edges)) if pairs else ()


def _extended(
    base: Content | None, nodes: Sequence[OwnNoun], edges: Sequence[tuple[int, int]], first: int
) -> Content:
    """Return the columns of `base` (None: nothing) with those of the nodes, whose (child, parent) edges are sorted."""
    base = base or _nothing()
    lexnames = (*base.lexnames, LEXNAME)
    lemmas = [_lemmas(node) for node in nodes]
    words = (*base.words, *(word for one in lemmas for word in one))
    start = base.word_start[-1] + np.cumsum([len(one) for one in lemmas])
    added = np.array(edges, dtype=np.int32).reshape(-1, 2)
    return replace(
        base,
        offsets=np.append(base.offsets, FIRST_OWN + np.arange(len(nodes))).astype(np.int32),
        lexfiles=np.append(base.lexfiles, _lexfiles(base, len(nodes), edges, first)).astype(np.uint8),
        lexnames=lexnames,
        word_start=np.append(base.word_start, start).astype(np.int32),
        words=words,
        sense_order=_sense_order(base, words),
        pairs={**base.pairs, "hypernym": np.concatenate([base.pairs["hypernym"], added])},
    )


def _nothing() -> Content:
    none = np.empty(0, np.int32)
    return Content(
        release="",
        offsets=none.copy(),
        lexfiles=np.empty(0, np.uint8),
        lexnames=(),
        word_start=np.zeros(1, np.int32),
        words=(),
        sense_order=none.copy(),
        pairs={relation: np.empty((0, 2), np.int32) for relation in RELATIONS},
        exceptions={},
    )


def _lemmas(node: OwnNoun) -> tuple[str, ...]:
    """Return the name and, if it is another lemma, the slug; a space is an underscore, as in WordNet."""
    words = ("_".join(node.name.split()), node.id.removeprefix(OWN))
    return tuple({fold(word): word for word in reversed(words)}.values())[::-1]


def _lexfiles(base: Content, count: int, edges: Sequence[tuple[int, int]], first: int) -> list[int]:
    """Return the lexicographer file of each node: that of its parent with the lowest number, or `LEXNAME`."""
    parent: dict[int, int] = {}
    for child, above in edges:  # sorted, so the first is the lowest
        parent.setdefault(child, above)
    files: dict[int, int] = {}
    for node in range(first, first + count):
        chain = [node]
        while (at := chain[-1]) >= first and at not in files and at in parent:
            chain.append(parent[at])
        file = files[at] if at in files else len(base.lexnames) if at >= first else int(base.lexfiles[at])
        files |= {one: file for one in chain if one >= first}
    return [files[node] for node in range(first, first + count)]


def _sense_order(base: Content, words: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Return the words sorted by folded lemma; those of own nodes come behind the senses of the same lemma."""
    added = sorted(range(len(base.words), len(words)), key=lambda word: (words[word].lower(), word))
    order = base.sense_order.tolist()
    at = [bisect_right(order, words[word].lower(), key=lambda known: words[known].lower()) for word in added]
    return np.insert(base.sense_order, at, added).astype(np.int32)
