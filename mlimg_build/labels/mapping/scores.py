"""Score senses: the features, their weights by policy, and the belief that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.mapping.candidates import BASE, WRITTEN
from mlimg_build.labels.mapping.context import below_parents, beside_colabels, neighbours
from mlimg_build.labels.mapping.hints import fit
from mlimg_build.labels.mapping.senses import Floats, Landscape, Senses
from mlimg_build.labels.mapping.spelling import hint
from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold

__all__ = ["FEATURES", "KINDS", "POLICIES", "Belief", "Context", "believe", "own_features"]

FEATURES = MappingProxyType(
    {
        "order": "minus the logarithm of the sense's place in WordNet's order",
        "form": "-1 for a sense of the singular where the name itself is a lemma",
        "first": "1 where the name is the first lemma of the synset",
        "proper": "-1 where WordNet writes the lemma with a capital that the name lacks",
        "instance": "-1 for a single person, place or thing",
        "breadth": "the logarithm of the number of synsets at and below it",
        "kind": "how often the things of its lexicographer file are photographed, 0 to 1",
        "hint": "how well it fits what the name has in parentheses, 0 to 1",
        "shared": "how telling it is that another category has this sense by id: minus the logarithm of the"
        " share of synsets that one has",
        "neighbours": "the logarithm of how much denser with categories WordNet is around it",
        "parents": "how telling it is that it is, is below or a part of the category's parents in its source:"
        " minus the logarithm of the share of synsets that are",
        "colabels": "how much nearer it is to the labels of the same images than to labels at large",
    }
)

OWN = tuple(FEATURES)[:8]  # features that need no other category

KINDS: Mapping[str, float] = MappingProxyType(
    {
        "noun.animal": 1.0,
        "noun.artifact": 1.0,
        "noun.body": 0.9,
        "noun.food": 0.8,
        "noun.object": 0.75,
        "noun.plant": 0.6,
        "noun.person": 0.5,
        "noun.Tops": 0.3,
        "noun.communication": 0.3,
        "noun.location": 0.3,
        "noun.possession": 0.3,
        "noun.shape": 0.3,
        "noun.substance": 0.3,
        "noun.phenomenon": 0.2,
    }
)
"""How often the published ML-Images took the sense of a lexicographer file if a lemma has several; 0 for the others.
Rounded from the weights of a logistic regression."""

POLICIES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "first_sense": {"order": 1.0, "form": 9.0, "shared": 9.0},
        "weighted": {
            "order": 0.5,
            "form": 2.0,
            "first": 1.5,
            "proper": 1.0,
            "instance": 2.0,
            "breadth": 0.6,
            "kind": 4.0,
            "hint": 9.0,
            "shared": 0.3,
            "neighbours": 0.4,
            "parents": 0.3,
            "colabels": 3.0,
        },
    }
)
"""The weight of every feature under each policy, absent for 0. First estimated by a logistic regression on the
lemmas of the published ML-Images, then on half of a table of Open Images names, and rounded."""

CERTAINTY = 1.25
"""The factor by which scores are multiplied before the softmax, so that shares are those of right decisions in the
tuning half (temperature scaling; Guo et al. 2017)."""

ROUNDS = 3
_DIGITS = 9  # of a score; rounding makes results equal on all machines


@dataclass(frozen=True, slots=True)
class Context:
    """What is known besides the names; rows and columns of the matrices are categories, rows sum to 1 or 0."""

    by_id: Floats  # [n]: 1 for a synset that a category has by id
    parents: sparse.csr_array
    colabels: sparse.csr_array
    usual: Floats  # [category]: its share of the labels of all images


@dataclass(frozen=True, slots=True)
class Belief:
    """The result: float64[candidate, feature] in the order of `FEATURES`, scores, and shares of belief."""

    features: Floats
    score: Floats
    share: Floats
    densest: npt.NDArray[np.int64]  # [candidate]: the synset above it where categories are densest
    held: Floats  # [candidate]: the number of categories there, without its own
    weighed: frozenset[str]  # the features that have a weight


def believe(
    senses: Senses, own: Floats, landscape: Landscape, context: Context, weights: Mapping[str, float]
) -> Belief:
    """Compute the belief in every candidate in a fixed number of rounds; each uses the beliefs of the one before.

    `own` are the features of each candidate that need no other category (`own_features`).
    """
    weight = np.array([weights.get(name, 0.0) for name in FEATURES])
    counted = np.array([not candidate.is_head for candidate in senses.found], dtype=np.bool_)
    shared = context.by_id[senses.node] * -np.log(max(context.by_id.mean(), 1 / len(landscape.size)))
    alone = np.column_stack([own, shared])
    share = senses.softmax(alone @ weight[: alone.shape[1]])
    for _ in range(ROUNDS if weight[alone.shape[1] :].any() else 1):
        around, densest, held = neighbours(senses, landscape, share, context.by_id, counted)
        nested = below_parents(senses, landscape, share, context.parents)
        together = beside_colabels(senses, landscape, share, context.colabels, context.usual)
        features = np.column_stack([alone, around, nested, together])
        score = np.round(features @ weight, _DIGITS)
        share = senses.softmax(score)
    return Belief(features, score, senses.softmax(CERTAINTY * score), densest, held, frozenset(weights))


def own_features(names: Sequence[str], senses: Senses, graph: NounGraph, landscape: Landscape) -> Floats:
    """Return the features of each candidate that need no other category; `names[i]` is the name of category i."""
    lexnames = [graph.content.lexnames[file] for file in graph.content.lexfiles[senses.node]]
    lemmas_themselves = {
        i for i, one in zip(senses.owner.tolist(), senses.found, strict=True) if one.kind == WRITTEN
    }
    rows = []
    for at, (candidate, i) in enumerate(zip(senses.found, senses.owner.tolist(), strict=True)):
        lemmas = [lemma.replace("_", " ") for lemma in graph.lemmas(candidate.wnid)]
        form = candidate.form.replace("_", " ")
        spelled = [lemma for lemma in lemmas if fold(lemma) == fold(form)]
        proper = form not in spelled and any(lemma != lemma.lower() for lemma in spelled)
        rows.append(
            (
                -log(candidate.rank),
                -float(i in lemmas_themselves and candidate.kind == BASE),
                float(fold(lemmas[0]) == fold(form)),
                -float(proper),
                -float(landscape.instance[senses.node[at]]),
                log(int(landscape.size[senses.node[at]])),
                KINDS.get(lexnames[at], 0.0),
                _hinted(names[i], at, senses, graph),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(-1, len(OWN))


def _hinted(name: str, at: int, senses: Senses, graph: NounGraph) -> float:
    phrases = hint(name)
    if not phrases:
        return 0.0
    row = senses.above.indices[senses.above.indptr[at] : senses.above.indptr[at + 1]]
    wnid = senses.found[at].wnid
    return fit(phrases, wnid, [above for node in row if (above := graph.wnid(int(node))) != wnid], graph)
