"""Which synset a source's category is: by its id, by a file that people keep, or by its name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet import NounGraph

__all__ = ["METHODS", "Decision", "Named", "decide", "spellings"]

METHODS = ("same_id", "file", "synonym", "lemma", "unresolved")
"""How a category was placed: the source gave the id; a mapping file says so; its name is a lemma of a synset
that another category has by id; its name is a lemma, and the first sense was taken; nothing fits."""


@dataclass(frozen=True, slots=True)
class Named:
    """A category as a source names it; `wnid` where the source itself speaks WordNet."""

    source: str
    id: str
    name: str
    wnid: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The synset of a source category (None where nothing fits), how it was found, what else it could be."""

    source: str
    id: str
    name: str
    wnid: str | None
    method: str
    form: str = ""  # the spelling under which WordNet knows the name
    alternatives: tuple[str, ...] = ()  # the other senses, in WordNet's order
    score: float = 1.0
    relation: str = "same_as"


def spellings(name: str) -> Iterator[str]:
    """The forms under which a name is looked up, the likeliest first; underscores are spaces.

    >>> list(spellings("Crane (bird)"))
    ['Crane (bird)', 'Crane']
    >>> list(spellings("T-shirt"))
    ['T-shirt', 'T shirt', 'Tshirt']
    >>> list(spellings("cell_phone"))
    ['cell phone', 'cell-phone', 'cellphone']
    """
    whole = " ".join(name.replace("_", " ").split())
    bare = re.sub(r"\s*\([^)]*\)", "", whole).strip()
    forms = [whole, bare]
    for form in (whole, bare):
        if "-" in form:
            forms += [form.replace("-", " "), form.replace("-", "")]
        if " " in form and "(" not in form:
            forms += [form.replace(" ", "-"), form.replace(" ", "")]
    yield from dict.fromkeys(tidy for form in forms if (tidy := " ".join(form.split())))


def decide(
    categories: Sequence[Named],
    graph: NounGraph,
    *,
    reviewed: Mapping[tuple[str, str], str | None] | None = None,
    synonyms: bool = True,
) -> list[Decision]:
    """One decision a category, in the order given; it does not depend on that order.

    `reviewed` maps (source, category id) to the id that people chose, None to leave the category out; it wins
    over everything. A name goes through WordNet's lemmas in its `spellings`, then in their base forms. With
    `synonyms`, a sense that another category of the list has by id is preferred to the first sense. Raises
    `WordNetError` "unknown-synset" with every id that the release lacks.
    """
    reviewed = reviewed or {}
    stated = {(named.source, named.id): named.wnid for named in categories}
    _require_known({**stated, **reviewed}, graph)
    by_id = {chosen for key, wnid in stated.items() if (chosen := reviewed.get(key, wnid)) is not None}
    return [_decide(named, graph, reviewed, by_id if synonyms else ()) for named in categories]


def _decide(
    named: Named, graph: NounGraph, reviewed: Mapping[tuple[str, str], str | None], by_id: Collection[str]
) -> Decision:
    key = (named.source, named.id)
    if key in reviewed:
        return Decision(*key, named.name, reviewed[key], "file")
    if named.wnid is not None:
        return Decision(*key, named.name, named.wnid, "same_id")
    form_of = _senses(named.name or named.id, graph)
    if not form_of:
        return Decision(*key, named.name, None, "unresolved")
    shared = [wnid for wnid in form_of if wnid in by_id]
    chosen = shared[0] if shared else next(iter(form_of))
    others = tuple(wnid for wnid in form_of if wnid != chosen)
    return Decision(*key, named.name, chosen, "synonym" if shared else "lemma", form_of[chosen], others)


def _senses(name: str, graph: NounGraph) -> dict[str, str]:
    """The synsets that a name may mean, the likeliest first, each with the form that has it; {} for none."""
    for form in spellings(name):
        if senses := graph.senses(form):
            return dict.fromkeys(senses, form)
    for form in spellings(name):
        found: dict[str, str] = {}
        for base in graph.morphy(form):  # one form may have several: axes are of an ax or of an axis
            for wnid in graph.senses(base):
                found.setdefault(wnid, base)
        if found:
            return found
    return {}


def _require_known(given: Mapping[tuple[str, str], str | None], graph: NounGraph) -> None:
    unknown = sorted(
        {(source, wnid) for (source, _), wnid in given.items() if wnid is not None and wnid not in graph}
    )
    if unknown:
        raise WordNetError(
            Problem(
                "unknown-synset",
                f"WordNet {graph.release} has no noun "
                + ", ".join(f"{wnid} ({source})" for source, wnid in unknown),
                hint="set `wordnet: {path: …}` to the release that the ids are of, or decide about their"
                " categories in the file of `vocabulary.mapping.file` (no id leaves a category out)",
            )
        )
