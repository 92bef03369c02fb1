"""Read a noun that people wrote for an id: the id, a name that has one sense, or a name and the number of its sense."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.wordnet.graph import NounGraph
from mlimg_build.wordnet.near_lemmas import NearLemmas
from mlimg_build.wordnet.wnids import parse_wnid

__all__ = ["in_words", "near_in_words", "synset_of", "told_apart"]

_NUMBERED = re.compile(r"(.+)\.n\.([0-9]{1,3})", re.DOTALL)
SHOWN = 12  # senses listed in an error
NEAR = 4  # lemmas spelt nearly so listed in an error
SENSES = 4  # senses of one of them
LONGEST = 200  # letters of a name


def synset_of(graph: NounGraph, text: str) -> str:
    """Return the id of the synset that a text names; an id itself is returned, whether or not the release has it.

    `labrador.n.01` is the first noun sense of the lemma, as NLTK writes it. Capitals, spaces, underscores and hyphens
    make no difference, and a plural is its singular where it is no lemma itself.

    Raises:
        WordNetError: "ambiguous-name" if the name has several senses, which the hint lists with their ids; "no-noun" if
            it has none, with the nouns that are spelt nearly so.

    >>> from mlimg_build.wordnet import load
    >>> [synset_of(load(), text) for text in ("n02099712", "Labrador retriever", "labrador.n.01", "giraffes")]
    ['n02099712', 'n02099712', 'n08819883', 'n02439033']
    """
    if parse_wnid(text) is not None:
        return text
    name = " ".join(text.split())[:LONGEST]
    numbered = _NUMBERED.fullmatch(name)
    if numbered and not graph.senses(name):
        senses = graph.senses(numbered[1])
        at = int(numbered[2])
        if 1 <= at <= len(senses):
            return senses[at - 1]
        name = numbered[1]
        if senses:
            raise _error(graph, name, senses, f"{name!r} has no sense {at} in WordNet {graph.release}")
    form, senses = next(
        ((form, found) for form in _forms(graph, name) if (found := graph.senses(form))), (name, ())
    )
    if len(senses) == 1:
        return senses[0]
    if not senses:
        message = f"WordNet {graph.release} has no noun called {name!r}"
        hint = "write the letter n and eight digits, or a noun; `mlimg synset WORD` shows the ids of a word"
        if near := near_in_words(graph, name):
            hint = "\n".join(["spelt nearly so:", *(f"  {line}" for line in near)])
        raise WordNetError(Problem("no-noun", message, hint=hint))
    raise _error(graph, form, senses, f"{name!r} has {len(senses)} senses in WordNet {graph.release}")


def in_words(graph: NounGraph, wnid: str) -> str:
    """Return a synset as a line: its id, its lemmas, and the two synsets above it.

    >>> from mlimg_build.wordnet import load
    >>> in_words(load(), "n02012849")
    'n02012849 crane: a kind of wading bird, aquatic bird'
    """
    return f"{wnid} {_words(graph, wnid)}"


def told_apart(graph: NounGraph, wnids: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the words for each synset, with its definition behind those that stand for another one, too.

    Without glosses, and for an id that the graph does not have, they stay as they are.

    >>> from mlimg_build.wordnet import load
    >>> told_apart(load(), ["n02828884", "n02829116"], ["a kind of seat", "a kind of seat"])[0]
    'a kind of seat: a long seat for more than one person'
    """
    shared = Counter(dict(zip(wnids, words, strict=True)).values())
    return [
        f"{one}: {gloss}" if shared[one] > 1 and (gloss := _definition(graph, wnid)) else one
        for wnid, one in zip(wnids, words, strict=True)
    ]


def _definition(graph: NounGraph, wnid: str) -> str:
    """Return a gloss without its examples."""
    return graph.gloss(wnid).partition('; "')[0].rstrip(";") if wnid in graph else ""


def near_in_words(graph: NounGraph, name: str) -> list[str]:
    """Return the synsets whose lemmas are spelt nearly as a name, a line each: those of fewest edits first.

    The senses of a lemma come in WordNet's order, which is by frequency where it counted; those of a lemma that has
    more than `SENSES` are followed by a line with the number of the others.

    >>> from mlimg_build.wordnet import load
    >>> [line.split(", ")[0] for line in near_in_words(load(), "kiet") if " kite" in line]
    ['n13382471 kite: a kind of check', 'n13382306 kite: a kind of check', 'n03621473 kite: a kind of plaything', \
'n01608432 kite: a kind of hawk']
    """
    (found,) = NearLemmas.of(graph).near([name.lower()])
    ranked = sorted(found, key=lambda one: (one.edits, not one.alike, not one.first, one.lemma))
    lines = iter(_lines(graph, [wnid for one in ranked[:NEAR] for wnid in graph.senses(one.lemma)[:SENSES]]))
    told: list[str] = []
    for one in ranked[:NEAR]:
        senses = graph.senses(one.lemma)
        told += islice(lines, min(len(senses), SENSES))
        if (more := len(senses) - SENSES) > 0:
            told.append(f"and {more} more of {one.lemma!r}, which `mlimg synset {one.lemma}` shows")
    return told


def _lines(graph: NounGraph, wnids: Sequence[str]) -> list[str]:
    """Return each synset in words, and told apart from the others."""
    words = told_apart(graph, wnids, [_words(graph, wnid) for wnid in wnids])
    return [f"{wnid} {one}" for wnid, one in zip(wnids, words, strict=True)]


def _words(graph: NounGraph, wnid: str) -> str:
    lemmas = ", ".join(lemma.replace("_", " ") for lemma in graph.lemmas(wnid)[:3])
    above = ", ".join(graph.name(one) for one in graph.ancestors(wnid)[:2])
    return f"{lemmas}: a kind of {above}" if above else lemmas


def _forms(graph: NounGraph, name: str) -> Iterator[str]:
    yield from dict.fromkeys((name, name.replace("-", " "), name.replace(" ", "-"), name.replace("_", "-")))
    yield from graph.morphy(name)


def _error(graph: NounGraph, name: str, senses: tuple[str, ...], message: str) -> WordNetError:
    lemma = "_".join(name.lower().split())
    lines = [f"  {lemma}.n.{at:02d} {line}" for at, line in enumerate(_lines(graph, senses[:SHOWN]), 1)]
    more = [f"  and {len(senses) - SHOWN} more"] if len(senses) > SHOWN else []
    hint = "\n".join(["write the id of the one that is meant:", *lines, *more])
    return WordNetError(Problem("ambiguous-name", message, hint=hint))
