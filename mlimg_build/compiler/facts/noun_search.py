"""Search the nouns of WordNet by name, for people who need an id."""

from __future__ import annotations

from typing import Any

from mlimg_build.compiler.facts.unsigned_rows import described
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels import nouns_of
from mlimg_build.wordnet import NounGraph

__all__ = ["find_nouns"]


def find_nouns(graph: NounGraph, name: str) -> list[dict[str, Any]]:
    """Return the synsets that `name` may mean, the likeliest first, as JSON objects `wnid`, `synset`, `as`.

    `synset` has its lemmas and hypernym. `as` says how the name matches: as written, base form, other spelling, or
    head ("cake" of "carrot cake", which is a kind of it). A WordNet id matches itself as `id`.

    Raises:
        WordNetError: `no-noun` if nothing matches.
    """
    if name in graph:
        return [{"wnid": name, "synset": described(graph, name), "as": "id"}]
    found = nouns_of(name, graph)
    if not found:
        hint = "try another word for it, or one for what it is a kind of; no id leaves a category out"
        raise WordNetError(
            Problem("no-noun", f"WordNet {graph.release} has no noun called {name!r}", hint=hint)
        )
    return [{"wnid": one.wnid, "synset": described(graph, one.wnid), "as": one.kind} for one in found]
