"""Ask what a name may have been meant to be: a word spelt nearly so, another name of the source, a kind of a noun."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

from mlimg_build.category_ids import loose_name
from mlimg_build.compiler.facts.noun_search import children
from mlimg_build.labels import Decision
from mlimg_build.wordnet import NounGraph

__all__ = ["COMPARED", "kinds_of", "near_names", "near_words", "noun_text"]

LIKELY = 0.3  # the chance of all near words together, from which they are asked for
OFFERED = 0.03  # least chance of a near word that is offered
WORDS = 3  # near words that are offered
COMPARED = 500  # names of a source that are compared with one
ALIKE = 0.84  # least share of letters that two words have in common
SHORTEST = 4  # letters of a word that may be misspelt
KINDS = 10  # kinds of a noun that are listed


def near_words(decision: Decision) -> list[str]:
    """Return the names that a category may have been meant to have, as WordNet spells them; [] if none is likely."""
    near = [one for one in decision.alternatives if one.near]
    if sum(one.score for one in near) < LIKELY:
        return []
    name = decision.name or decision.id
    found = dict.fromkeys(
        _with_word(name, one.near) if one.relation == "is_a" else one.near
        for one in near
        if one.score >= OFFERED
    )
    return [*found][:WORDS]


def _with_word(name: str, word: str) -> str:
    """Return a name with the word in it that is most like `word` replaced.

    >>> _with_word("weld porosty", "porosity")
    'weld porosity'
    """
    words = name.split()
    at = max(range(len(words)), key=lambda i: SequenceMatcher(None, words[i].lower(), word).ratio())
    return " ".join([*words[:at], word, *words[at + 1 :]])


def near_names(name: str, others: Sequence[str]) -> list[str]:
    """Return the other names that differ from a name in the spelling of one word; the first `COMPARED` are looked at.

    >>> near_names("scrach", ["scratch", "dent"]), near_names("type a", ["type b"]), near_names("part 11", ["part 12"])
    (['scratch'], [], [])
    >>> near_names("deep scrach", ["deep scratch", "small scratch", "deep scrach"])
    ['deep scratch']
    """
    words = _words(name)
    return [one for one in others[:COMPARED] if _differ_in_spelling(words, _words(one))][:WORDS]


@lru_cache(maxsize=4 * COMPARED)
def _words(name: str) -> tuple[str, ...]:
    return tuple(loose_name(name).split())


def _differ_in_spelling(words: Sequence[str], others: Sequence[str]) -> bool:
    if len(words) != len(others):
        return False
    differ = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    if len(differ) != 1:
        return False
    one, other = differ[0]
    if min(len(one), len(other)) < SHORTEST or (one[0] != other[0] and one[-1] != other[-1]):
        return False  # few misspell both ends, and each comparison takes longer than this look
    return one.isalpha() and other.isalpha() and bool(get_close_matches(one, [other], 1, ALIKE))


def kinds_of(graph: NounGraph, wnid: str, name: str) -> str:
    """Return the question which kind of a noun a name may be; "" if it has none.

    Of many kinds, those that share a word with the name are listed.
    """
    below = children(graph, wnid)
    words = set(loose_name(name).split())
    if len(below) > KINDS:
        below = [one for one in below if words & set(loose_name(graph.name(one)).split()[:-1])][:KINDS]
    if not below:
        return ""
    listed = ", ".join(f"{graph.name(one)} {one}" for one in below)
    return f"or one of its kinds: {listed}?"


def noun_text(graph: NounGraph, wnid: str) -> str:
    """Return the name and id of a noun, and what it is a kind of.

    >>> from mlimg_build.wordnet import load
    >>> noun_text(load(), "n11413661")
    'dent n11413661 (a kind of consequence)'
    """
    above = graph.ancestors(wnid)
    return f"{graph.name(wnid)} {wnid}" + (f" (a kind of {graph.name(above[0])})" if above else "")
