"""The nouns of WordNet that a name may be, for whoever has to write down an id."""

from __future__ import annotations

from typing import Any

from mlimg_build.compiler.facts.unsigned_rows import described
from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels import nouns_of
from mlimg_build.wordnet import NounGraph

__all__ = ["find_nouns"]


def find_nouns(graph: NounGraph, name: str) -> list[dict[str, Any]]:
    """The synsets that `name` may be, the likeliest sense first: wnid, its words and what it is a kind of, as JSON.

    `as` says how near the name is: as written, base form, other spelling, or head ("cake" of "carrot cake", which is a
    kind of it). A WordNet id finds itself. Raises `WordNetError` "no-noun".
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
