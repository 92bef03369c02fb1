"""Search the nouns of WordNet by name, and describe them, for people who need an id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mlimg_build.compiler.facts.unsigned_rows import described
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels import MappedCategory, Named, decide, nouns_of
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.noun_names import told_apart

__all__ = ["chains", "children", "describe_nouns", "find_nouns", "no_noun"]

WAYS_UP = 6  # chains of one synset that are given
NEAR = 5  # near spellings that are given


def find_nouns(graph: NounGraph, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the synsets that `name` may mean and those whose names are spelt nearly so, the likeliest first.

    Both are JSON objects with `wnid`, `synset` (its lemmas and hypernym), `gloss` (None without one) and `score`, the
    share of such decisions that are right if nothing but the name is known. `as` says how a name matches: as written,
    base form, other spelling, or head ("cake" of "carrot cake", which is a kind of it); `near` is the lemma that is
    spelt nearly so. A WordNet id matches itself as `id`.
    """
    if name in graph:
        return [{**_told(graph, name), "as": "id", "score": 1.0}], []
    (decision,) = decide([Named("", name, name)], graph)
    score = {decision.wnid: decision.score} if decision.wnid else {}
    score |= {one.wnid: one.score for one in decision.alternatives if not one.near}
    found = sorted(nouns_of(name, graph), key=lambda one: -score.get(one.wnid, 0.0))
    senses = [{**_told(graph, one.wnid), "as": one.kind, "score": score.get(one.wnid, 0.0)} for one in found]
    near = [one for one in decision.alternatives if one.near][:NEAR]
    return senses, [{**_told(graph, one.wnid), "near": one.near, "score": one.score} for one in near]


def describe_nouns(
    graph: NounGraph, name: str, placed: Sequence[MappedCategory] | None = None
) -> dict[str, Any]:
    """Return all that is known of the synsets that a name or id may mean, as one JSON object.

    Each of its `synsets` has further `names`, `file` (of the lexicographers), `chains` (up to `WAYS_UP`, each from its
    hypernym up), `children`, `below` (the number of all synsets below it), and with `placed` the `images` and
    `categories` of a spec. `others` are further synsets with one of the names of an id.
    """
    senses, near = find_nouns(graph, name)
    others = []
    if name in graph:
        wnids = dict.fromkeys(other for lemma in graph.lemmas(name) for other in graph.senses(lemma))
        others = [_told(graph, one) for one in wnids if one != name]
    told = [one | _details(graph, one["wnid"]) for one in senses]
    if placed is not None:
        told = [one | _images(graph, one["wnid"], placed) for one in told]
    return {"name": name, "synsets": told, "others": others, "near": near}


def no_noun(graph: NounGraph, name: str, near: Sequence[dict[str, Any]]) -> WordNetError:
    """Return the error that no noun is called `name`; its hint lists what is spelt nearly so."""
    wnids = [one["wnid"] for one in near]
    words = told_apart(graph, wnids, [one["synset"] for one in near])
    listed = "; ".join(f"{wnid} {one}" for wnid, one in zip(wnids, words, strict=True))
    hint = "try another word for it, or one for what it is a kind of; no id leaves a category out"
    if listed:
        hint = f"spelt nearly so: {listed}"
    return WordNetError(Problem("no-noun", f"WordNet {graph.release} has no noun called {name!r}", hint=hint))


def chains(graph: NounGraph, wnid: str) -> Iterator[tuple[str, ...]]:
    """Yield each way up from a synset as ids, from its hypernym to the top, in the order of ids.

    >>> from mlimg_build.wordnet import load
    >>> [[load().name(one) for one in chain[:2]] for chain in chains(load(), "n02084071")]
    [['domestic animal', 'animal'], ['canine', 'carnivore']]
    """
    for parent in _beside(graph, wnid, up=True):
        if above := list(chains(graph, parent)):
            yield from ((parent, *rest) for rest in above)
        else:
            yield (parent,)


def children(graph: NounGraph, wnid: str) -> list[str]:
    """Return the direct hyponyms of a synset, and what is one of it, in the order of ids."""
    return _beside(graph, wnid, up=False)


def _beside(graph: NounGraph, wnid: str, *, up: bool) -> list[str]:
    """Return the direct hypernyms of a synset, or what it is one of, in the order of ids."""
    at = graph.index(wnid)
    found: set[int] = set()
    for relation in ("hypernym", "instance_hypernym"):
        child, parent = graph.content.pairs[relation].T
        found |= set((parent[child == at] if up else child[parent == at]).tolist())
    return [graph.wnid(index) for index in sorted(found)]


def _details(graph: NounGraph, wnid: str) -> dict[str, Any]:
    ways = [*chains(graph, wnid)]
    return {
        "names": [lemma.replace("_", " ") for lemma in graph.lemmas(wnid)],
        "file": graph.lexname(wnid),
        "chains": [[_named(graph, one) for one in way] for way in ways[:WAYS_UP]],
        "more_chains": max(len(ways) - WAYS_UP, 0),
        "children": [_named(graph, one) for one in children(graph, wnid)],
        "below": len(graph.descendants(wnid)),
    }


def _told(graph: NounGraph, wnid: str) -> dict[str, Any]:
    return {"wnid": wnid, "synset": described(graph, wnid), "gloss": graph.gloss(wnid) or None}


def _named(graph: NounGraph, wnid: str) -> dict[str, str]:
    return {"wnid": wnid, "name": graph.name(wnid)}


def _images(graph: NounGraph, wnid: str, placed: Sequence[MappedCategory]) -> dict[str, Any]:
    """Return what a spec has of a synset: images that its sources' categories show, and those with what is below it.

    Images are counted for each source category: one with two of them counts twice.
    """
    own = [row for row in placed if wnid in (row.wnid, row.joined, row.decision.wnid)]
    within = {wnid, *graph.descendants(wnid)}
    return {
        "images": sum(row.images for row in own if row.fate == "used" and row.wnid == wnid),
        "images_with_below": sum(row.images for row in placed if row.fate == "used" and row.wnid in within),
        "categories": [
            {
                "source": row.decision.source,
                "category": row.decision.id,
                "name": row.decision.name or None,
                "images": row.images,
                "fate": row.fate,
                "into": row.wnid,
            }
            for row in own
        ],
    }
