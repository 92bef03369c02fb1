"""The synsets that a name may mean, each with the form that has it and the place of that sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlimg_build.labels.spelling import heads, spellings, variants
from mlimg_build.wordnet import NounGraph

__all__ = ["FORMS", "Candidate", "candidates"]

FORMS = ("as written", "base form", "other spelling", "head")
"""How near the form is to the name: it or its hyphens and spaces; its singular; a variant of it; its head."""

_WRITTEN, _BASE, _VARIANT, _HEAD = FORMS


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sense of one form of a name: the `rank`-th (from 1) of `senses` of the form."""

    wnid: str
    form: str
    kind: str  # of FORMS
    rank: int
    senses: int

    @property
    def is_head(self) -> bool:
        """Whether the category would be a kind of this synset instead of the same."""
        return self.kind == _HEAD


def candidates(name: str, graph: NounGraph) -> tuple[Candidate, ...]:
    """The senses of the nearest form of `name` that WordNet has, in sense order; () for none.

    A plural that is a lemma of its own (glasses) offers the senses of its base form (glass) after its own.
    The head of a name (cake of "carrot cake") is asked last. A synset is there once.
    """
    written = list(spellings(name))
    for form in written:
        if own := _senses(form, _WRITTEN, graph):
            return _once([*own, *_bases(form, _BASE, graph)])
    for form in written:
        if found := _once(_bases(form, _BASE, graph)):
            return found
    for form in variants(name):
        if found := _once([*_senses(form, _VARIANT, graph), *_bases(form, _VARIANT, graph)]):
            return found
    for head in heads(name):
        if found := _head(head, graph):
            return found
    return ()


def _head(form: str, graph: NounGraph) -> tuple[Candidate, ...]:
    own = list(_senses(form, _HEAD, graph))
    return _once([*own, *_bases(form, _HEAD, graph)])


def _senses(form: str, kind: str, graph: NounGraph) -> list[Candidate]:
    senses = graph.senses(form)
    return [Candidate(wnid, form, kind, rank, len(senses)) for rank, wnid in enumerate(senses, 1)]


def _bases(form: str, kind: str, graph: NounGraph) -> Iterator[Candidate]:
    # One form may have several: axes are of an ax or of an axis.
    own = "_".join(form.lower().split())
    for base in graph.morphy(form):
        if base != own:
            yield from _senses(base, kind, graph)


def _once(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    first: dict[str, Candidate] = {}
    for candidate in found:
        first.setdefault(candidate.wnid, candidate)
    return tuple(first.values())
