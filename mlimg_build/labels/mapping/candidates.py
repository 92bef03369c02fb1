"""The synsets that a name may mean, each with the form that has it and the rank of the sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.labels.mapping.spelling import heads, spellings, variants
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import base_forms, fold

__all__ = ["BASE", "FORMS", "HEAD", "VARIANT", "WRITTEN", "Candidate", "Lexicon", "candidates", "nouns_of"]

FORMS = ("as written", "base form", "other spelling", "head")
"""How near the form is to the name: equal but for hyphens and spaces; its singular; a variant spelling; its head."""

WRITTEN, BASE, VARIANT, HEAD = FORMS


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
        """Whether the category would be a kind of this synset instead of the same as it."""
        return self.kind == HEAD


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The lemmas of a noun graph, for tens of thousands of lookups most of which find nothing."""

    graph: NounGraph
    lemmas: frozenset[str]  # folded

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, graph: NounGraph) -> Lexicon:
        """Return the lexicon of a graph; made once for each graph."""
        return cls(graph, frozenset(word.lower() for word in graph.content.words))

    def senses(self, form: str) -> tuple[str, ...]:
        """Return the same as `NounGraph.senses`."""
        return self.graph.senses(form) if fold(form) in self.lemmas else ()

    def bases(self, form: str) -> tuple[str, ...]:
        """Return the same as `NounGraph.morphy`, without the form itself."""
        own = fold(form)
        found = base_forms(form, self.graph.content.exceptions, self.lemmas.__contains__)
        return tuple(base for base in found if base != own)


def candidates(name: str, lexicon: Lexicon) -> tuple[Candidate, ...]:
    """Return the senses of the nearest form of `name` that WordNet has, in sense order; () for none.

    A plural that is a lemma itself (glasses) also has the senses of its base form (glass), after its own. The head of
    a name (cake of "carrot cake") is looked up last. Each synset occurs once. A form that is no name (15 of "1-5", nan
    of "NaN (missing)") is not looked up.
    """
    written = [form for form in spellings(name) if not name_kind(form)]
    for form in written:
        if own := _senses(form, WRITTEN, lexicon):
            return _once([*own, *_bases(form, BASE, lexicon)])
    for form in written:
        if found := _once(_bases(form, BASE, lexicon)):
            return found
    for kind, forms in ((VARIANT, variants(name)), (HEAD, heads(name))):
        for form in forms:
            if not name_kind(form) and (
                found := _once([*_senses(form, kind, lexicon), *_bases(form, kind, lexicon)])
            ):
                return found
    return ()


def nouns_of(name: str, graph: NounGraph) -> tuple[Candidate, ...]:
    """Return `candidates` for a single name."""
    return candidates(name, Lexicon.of(graph))


def _senses(form: str, kind: str, lexicon: Lexicon) -> list[Candidate]:
    senses = lexicon.senses(form)
    return [Candidate(wnid, form, kind, rank, len(senses)) for rank, wnid in enumerate(senses, 1)]


def _bases(form: str, kind: str, lexicon: Lexicon) -> Iterator[Candidate]:
    # One form may have several: axes are of an ax or of an axis.
    for base in lexicon.bases(form):
        yield from _senses(base, kind, lexicon)


def _once(found: Iterable[Candidate]) -> tuple[Candidate, ...]:
    first: dict[str, Candidate] = {}
    for candidate in found:
        first.setdefault(candidate.wnid, candidate)
    return tuple(first.values())
