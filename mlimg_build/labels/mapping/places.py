"""What the place of a category in its source's hierarchy says of a sense: two places, or another kind than the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence

from mlimg_build.wordnet import NounGraph

__all__ = ["SPLIT", "GroupKinds", "other_place"]

Key = tuple[str, str]

SPLIT = 0.5  # the highest score of a name whose place in its source speaks for another sense, or for two
ENOUGH = 4  # least number of others in a group that say anything
MOST = 0.75  # least share of them that are of one kind


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


class GroupKinds:
    """Counts the kinds (lexicographer's files: animals, artifacts, …) of the categories just below each node.

    `parents` maps (source, id) to the ids just above it, `kinds` (source, id) to the kind of what it was taken for.
    """

    def __init__(self, parents: Mapping[Key, Sequence[str]], kinds: Mapping[Key, str]) -> None:
        self.parents, self.kinds = parents, kinds
        self.held: dict[Key, Counter[str]] = defaultdict(Counter)
        for (source, key), above in parents.items():
            for node in above if (source, key) in kinds else ():
                self.held[source, node][kinds[source, key]] += 1

    def odd(self, key: Key, others: Sequence[str]) -> tuple[str, str, int] | None:
        """Return the kind that a category lacks, the node below which others have it, and how many of them do.

        `others` are the kinds of the other senses of its name. The result is None unless no other category of any
        group has the kind of this one, and one of `others` is the kind of most of a group.
        """
        mine = self.kinds.get(key)
        groups = [(node, self.held[key[0], node]) for node in self.parents.get(key, ())]
        if mine is None or not groups or any(held[mine] > 1 for _, held in groups):
            return None
        for node, held in groups:
            beside = held.total() - 1
            kind, count = max(held.items(), key=lambda one: (one[1], one[0]))
            if beside >= ENOUGH and kind != mine and count >= MOST * beside and kind in others:
                return kind, node, count
        return None
