"""Find doubtful pairs of categories: too general, or adding far more labels than they were learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlimg_build.labels.derivation.cooccurrence import Pairs
from mlimg_build.wordnet import NounGraph

__all__ = ["DOUBTS", "information_content", "judge_pairs"]

KINDS = ("hypernym",)  # instances, such as the many rivers, do not make a synset less specific
DOUBTS = ("", "too-general", "adds-too-many")
CERTAIN, TOO_GENERAL, ADDS_TOO_MANY = range(len(DOUBTS))


def information_content(graph: NounGraph, wnids: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return how specific each synset is: 1 - log(synsets below it + 1) / log(synsets); float64 in [0, 1], 1 at a leaf.

    Source: Seco, Veale, Hayes, An intrinsic information content metric for semantic similarity in WordNet (2004).
    """
    below = np.bincount(graph.closure(KINDS).indices, minlength=len(graph))[graph.indices(wnids)]
    content: npt.NDArray[np.float64] = 1 - np.log(below + 1) / np.log(max(len(graph), 2))
    return content


def judge_pairs(
    pairs: Pairs,
    adds: npt.NDArray[np.int64],
    content: npt.NDArray[np.float64],
    *,
    min_content: float,
    max_ratio: float,
) -> npt.NDArray[np.uint8]:
    """Return what is doubtful about each pair, uint8[pairs]: a position in `DOUBTS`, 0 for nothing.

    A pair is too general if the information content of its antecedent is less than `min_content`: what co-occurs with a
    general category depends on which of the many below it a source has. It adds too many if it would add more than
    `max_ratio` times as many labels (`adds`) as images that it was learnt from (`together`). `content` is that of every
    pair's antecedent.
    """
    found = np.full(len(pairs), CERTAIN, np.uint8)
    found[adds > max_ratio * pairs.together] = ADDS_TOO_MANY
    found[content < min_content] = TOO_GENERAL
    return found
