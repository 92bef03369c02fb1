"""Which synset a source's category is: by its id, by a file that people keep, or by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet import NounGraph

__all__ = ["METHODS", "Decision", "Named", "decide", "spellings"]

METHODS = ("same_id", "file", "synonym", "lemma", "unresolved")
"""How a category was placed: the source gave the id; a mapping file says so; its name is a lemma of a synset that a
source gave by id; its name is a lemma, and the first sense was taken; nothing fits."""


@dataclass(frozen=True, slots=True)
class Named:
    """A category as a source names it; `wnid` where the source itself speaks WordNet."""

    source: str
    id: str
    name: str
    wnid: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The synset of a source category (None where nothing fits), how it was found and what else it could be."""

    source: str
    id: str
    name: str
    wnid: str | None
    method: str
    form: str = ""  # the spelling under which WordNet knows the name
    alternatives: tuple[str, ...] = ()  # the other senses, in WordNet's order


def spellings(name: str) -> Iterator[str]:
    """The forms under which a name is looked up, the likeliest first.

    >>> list(spellings("Crane (bird)"))
    ['Crane (bird)', 'Crane']
    >>> list(spellings("T-shirt"))
    ['T-shirt', 'T shirt', 'Tshirt']
    """
    bare = re.sub(r"\s*\([^)]*\)", "", name).strip()
    forms = [name.strip(), bare]
    for form in (name.strip(), bare):
        if "-" in form:
            forms += [form.replace("-", " "), form.replace("-", "")]
        if " " in form and "(" not in form:
            forms += [form.replace(" ", "-"), form.replace(" ", "")]
    yield from dict.fromkeys(form for form in forms if form)


def decide(
    categories: Sequence[Named],
    graph: NounGraph,
    *,
    reviewed: Mapping[tuple[str, str], str | None] | None = None,
    synonyms: bool = True,
) -> list[Decision]:
    """One decision a category, in the order given; it does not depend on that order.

    `reviewed` maps (source, category id) to the id that people chose, None to leave the category out; it wins over
    everything. A name goes through WordNet's lemmas in its `spellings`, then in their base forms. With `synonyms`, a
    sense that another category has by id is preferred to the first sense. Raises `WordNetError` with every id
    that the release lacks.
    """
    reviewed = reviewed or {}
    _require_known([named for named in categories if (named.source, named.id) not in reviewed], graph)
    _require_known([Named(*key, "", wnid) for key, wnid in reviewed.items() if wnid], graph)
    by_id = {named.wnid for named in categories if named.wnid} | {wnid for wnid in reviewed.values() if wnid}
    return [_decide(named, graph, reviewed, by_id if synonyms else ()) for named in categories]


def _decide(
    named: Named, graph: NounGraph, reviewed: Mapping[tuple[str, str], str | None], by_id: Collection[str]
) -> Decision:
    key = (named.source, named.id)
    if key in reviewed:
        return Decision(*key, named.name, reviewed[key], "file")
    if named.wnid is not None:
        return Decision(*key, named.name, named.wnid, "same_id")
    form, senses = _senses(named.name or named.id, graph)
    if not senses:
        return Decision(*key, named.name, None, "unresolved")
    shared = [wnid for wnid in senses if wnid in by_id]
    chosen = shared[0] if shared else senses[0]
    others = tuple(wnid for wnid in senses if wnid != chosen)
    return Decision(*key, named.name, chosen, "synonym" if shared else "lemma", form, others)


def _senses(name: str, graph: NounGraph) -> tuple[str, tuple[str, ...]]:
    for form in spellings(name):
        if senses := graph.senses(form):
            return form, senses
    for form in spellings(name):
        for base in graph.morphy(form):
            if senses := graph.senses(base):
                return base, senses
    return "", ()


def _require_known(categories: Sequence[Named], graph: NounGraph) -> None:
    unknown = [named for named in categories if named.wnid is not None and named.wnid not in graph]
    if unknown:
        listed = ", ".join(f"{named.wnid} ({named.source})" for named in unknown[:10])
        more = f" and {len(unknown) - 10} more" if len(unknown) > 10 else ""
        raise WordNetError(
            Problem(
                "unknown-synset",
                f"WordNet {graph.release} has no noun {listed}{more}",
                hint="the ids are of another release (set `wordnet: {path: …}`), or list them under `exclude`",
            )
        )
