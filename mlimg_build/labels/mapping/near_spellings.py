"""Offer the nouns that a name which no noun has may be a misspelling of, each with the chance that it is.

A mixture of two explanations (Bayes' rule): a name is a misspelt noun, or it is none, such as a brand. The edits to a
lemma are weighed against how many lemmas are as near to a text by chance. How many of a collection's names are misspelt
is estimated from the names themselves, so that what is near to a brand is not offered as if it were likely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from mlimg_build.category_ids import is_own
from mlimg_build.labels.mapping.candidates import HEAD, WRITTEN, Candidate, Lexicon
from mlimg_build.labels.mapping.decision import Alternative
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.labels.mapping.scores import POLICIES, Context, believe, own_features
from mlimg_build.labels.mapping.senses import Floats, Landscape, Senses
from mlimg_build.labels.mapping.spelling import heads, plain
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import detach
from mlimg_build.wordnet.near_lemmas import Near, NearLemmas

__all__ = ["near_spellings", "ratio"]

OFFERED = 8  # lemmas of one name that are weighed
LEAST = 0.02  # least ratio of a lemma that is weighed
PRIOR = 2.0  # of names, as many misspelt ones and others are assumed beside those of the collection
ROUNDS = 30
LEAST_SCORE = 0.01  # of an alternative that is offered, unless it is the best one

RATIOS = {
    (1, True, True): 1.6,
    (1, True, False): 0.6,
    (1, False, False): 0.05,
    (2, True, True): 1.0,
    (2, True, False): 0.13,
    (2, False, False): 0.009,
}
"""(edits, begins alike, sounds alike) → the share of 2,236 misspelt nouns that are such, over the share of such ones
among the lemmas that are near to Open Images' names by chance. The nouns are those of codespell's list whose first
sense is in a lexicographer's file that is often photographed."""
OTHERWISE = 0.005

CHANCE = {1: (1.43, 2.2, 5), 2: (37.0, 3.25, 5), 3: (0.034, 2.0, 13)}
"""Edits → (n, factor, letters): n lemmas are so near by chance to a text of so many letters, of each further letter
`factor` times fewer. Counted on the 5,779 names of Open Images that are no nouns."""
FEWEST = 0.002  # least number by chance: so many names are nouns of another language, or something else not thought of


def ratio(near: Near, letters: int) -> float:
    """Return how much likelier it is that a lemma is near because a text of so many letters is misspelt than by chance.

    >>> one, alike = Near("hamster", 1, True, False), Near("hamster", 1, True, True)
    >>> round(ratio(one, 8)), round(ratio(alike, 8)), round(ratio(one, 5))
    (4, 12, 0)
    """
    count, factor, at = CHANCE[near.edits]
    chance = max(count * factor ** (at - letters), FEWEST)
    return RATIOS.get((near.edits, near.first, near.alike), OTHERWISE) / chance


def near_spellings(
    names: Sequence[str], whole: Sequence[bool], graph: NounGraph, known: Floats
) -> list[tuple[Alternative, ...]]:
    """Return for each name the synsets whose lemmas are spelt nearly so, the likeliest first; () for none.

    `known[s]` is how much other categories are believed to be synset s, float64[n]. What is no name (a number, a word
    for a missing value) has none. Where nothing is near to a name, its head is looked at, unless `whole` says that only
    the whole name is: "red umbrela" is a kind of umbrella. The order of the names changes nothing.
    """
    if not names:  # the tables of lemmas take a second and memory
        return []
    lemmas = NearLemmas.of(graph)
    weighed = _weigh(names, whole, lemmas)
    choices = [_senses(found, graph) for found in weighed]
    if not any(choices):
        return [() for _ in names]
    landscape = Landscape.of(graph)
    senses = Senses.of(choices, graph, landscape)
    nothing = sparse.csr_array((len(names), len(names)))
    context = Context(known, nothing, nothing, np.zeros(len(names)))
    own = own_features(names, senses, graph, landscape)
    share = believe(senses, own, landscape, context, POLICIES["weighted"]).share
    declared = _declared(lemmas, graph)
    ratios = np.array(
        [
            weighed[i][one.form][0] * len(weighed[i]) * (declared if is_own(one.wnid) else 1.0)
            for i, one in zip(senses.owner.tolist(), senses.found, strict=True)
        ]
    )
    score = _misspelt(senses, share * ratios, sum(not name_kind(name) for name in names))
    offered: list[list[Alternative]] = [[] for _ in names]
    for at in np.lexsort((senses.node, -score)).tolist():
        one, value = senses.found[at], round(float(score[at]), 3)
        mine = offered[int(senses.owner[at])]
        if value >= LEAST_SCORE or not mine:
            mine.append(Alternative(one.wnid, value, "is_a" if one.is_head else "same_as", one.form))
    return [tuple(found) for found in offered]


def _declared(lemmas: NearLemmas, graph: NounGraph) -> float:
    """Return how many times likelier an own category is than a noun that is spelt as nearly.

    `ratio` compares with all lemmas. The few names that a spec declares are near to a text by chance so many times less
    often, and somebody expects them in these very data.
    """
    return len(lemmas.lemmas) / len(graph.own) if graph.own else 1.0


def _weigh(
    names: Sequence[str], whole: Sequence[bool], lemmas: NearLemmas
) -> list[dict[str, tuple[float, bool]]]:
    """Return for each name the lemmas near it, each with its `ratio` and whether it is near to the head only."""
    weighed: list[dict[str, tuple[float, bool]]] = [{} for _ in names]
    ends = [
        [] if name_kind(name) else [_letters_of(name), *([] if alone else map(str.lower, heads(name)))]
        for name, alone in zip(names, whole, strict=True)
    ]
    for turn in range(max(map(len, ends), default=0)):
        asked = [i for i, end in enumerate(ends) if turn < len(end) and not weighed[i]]
        forms = [(i, form) for i in asked for form in (ends[i][turn], *detach(ends[i][turn]))]
        for (i, form), near in zip(forms, lemmas.near([form for _, form in forms]), strict=True):
            for one in near:
                value = max(ratio(one, len(form)), weighed[i].get(one.lemma, (0.0, False))[0])
                if value >= LEAST:
                    weighed[i][one.lemma] = (value, turn > 0)
    return [dict(sorted(found.items(), key=lambda one: (-one[1][0], one[0]))[:OFFERED]) for found in weighed]


def _senses(found: Mapping[str, tuple[float, bool]], graph: NounGraph) -> list[Candidate]:
    """Return the senses of the lemmas near a name, each synset once; a single person or place has no kinds."""
    instance, lexicon = Landscape.of(graph).instance, Lexicon.of(graph)
    first: dict[str, Candidate] = {}
    for lemma, (_, is_head) in found.items():
        senses = lexicon.senses(lemma)
        for rank, wnid in enumerate(senses, 1):
            if not (is_head and instance[graph.index(wnid)]):
                first.setdefault(
                    wnid, Candidate(wnid, lemma, HEAD if is_head else WRITTEN, rank, len(senses))
                )
    return [*first.values()]


def _misspelt(senses: Senses, weight: Floats, names: int) -> Floats:
    """Return the probability of each candidate, float64[candidate], given its weight against being no noun at all.

    The share of misspelt names is estimated by expectation maximisation over all of them, and `PRIOR` of each kind.
    """
    total = np.bincount(senses.owner, weight, minlength=senses.categories)
    share = 0.5
    for _ in range(ROUNDS):
        odds = share / (1 - share)
        misspelt = total * odds / (1 + total * odds)
        share = (PRIOR + float(misspelt.sum())) / (2 * PRIOR + names)
    odds = share / (1 - share)
    score: Floats = weight * odds / (1 + total[senses.owner] * odds)
    return score


def _letters_of(name: str) -> str:
    return " ".join(plain(name).lower().split())
