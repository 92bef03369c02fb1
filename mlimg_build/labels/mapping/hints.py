"""Compare a sense with what a name has in parentheses: "Crane (bird)", "Mouse (computer)"."""

from __future__ import annotations

from collections.abc import Iterable

from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.morphology import fold

__all__ = ["fit"]

WORD_FIT = 0.7  # if only a word of a lemma is the hint: computer of "computer mouse"


def fit(phrases: Iterable[str], wnid: str, above: Iterable[str], graph: NounGraph) -> float:
    """Return how well a sense fits a hint, 0 to 1: 1 if a phrase names it, its file or anything above it.

    `above` holds the ids of the synsets above `wnid`, in any order.

    >>> from mlimg_build.wordnet import load
    >>> graph = load()
    >>> [fit(["bird"], wnid, graph.ancestors(wnid), graph) for wnid in ("n02012849", "n03126707")]
    [1.0, 0.0]
    >>> fit(["computer"], "n03793489", graph.ancestors("n03793489"), graph)
    0.7
    """
    own = {fold(lemma) for lemma in graph.lemmas(wnid)}
    higher = {fold(lemma) for one in above for lemma in graph.lemmas(one)}
    file = graph.lexname(wnid).partition(".")[2]
    words = {word for lemma in own for word in lemma.split("_")}
    best = 0.0
    for phrase in phrases:
        forms = {fold(phrase), *graph.morphy(phrase)}
        if forms & (higher | {file}) or forms & own:
            return 1.0
        if forms & words:
            best = WORD_FIT
    return best
