"""Whether a source puts a category in two places of its hierarchy that different senses of its name fit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mlimg_build.wordnet import NounGraph

__all__ = ["SPLIT", "other_place"]

SPLIT = 0.5  # the highest score of a name that stands for two things in its own source: it is right for one of them


def other_place(
    taken: str, others: Sequence[str], parents: Collection[str], graph: NounGraph
) -> tuple[str, str] | None:
    """Return the likeliest other synset that fits a place which the one `taken` does not, and the parent there.

    `others` are the other synsets of the name, the likeliest first, `parents` those of the nearest nodes above it in
    its source. The result is None unless each of the two fits a place that the other does not: Open Images puts
    Mouse below Mammal and below Electronic device.
    """
    here = _fitting(taken, parents, graph)
    for other in others if here else ():
        there = _fitting(other, parents, graph)
        if here - there and there - here:
            return other, min(there - here)
    return None


def _fitting(wnid: str, parents: Collection[str], graph: NounGraph) -> set[str]:
    return {parent for parent in parents if parent == wnid or parent in graph.ancestors(wnid)}
