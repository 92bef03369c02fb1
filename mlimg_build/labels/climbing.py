"""The way up from a synset: what lies one hypernym above it, two, three, as far as WordNet goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlimg_build.wordnet import NounGraph

__all__ = ["Climb"]


@dataclass(frozen=True, slots=True)
class Climb:
    """The hypernym and instance-hypernym edges of a graph as plain lists, which are walked faster than arrays."""

    start: list[int]  # [synset + 1]
    above: list[int]  # the synsets above synset i are above[start[i]:start[i + 1]], by rising index

    @classmethod
    def of(cls, graph: NounGraph) -> Climb:
        edges = graph.edges("hypernym") + graph.edges("instance_hypernym")
        edges.sort_indices()
        return cls(edges.indptr.tolist(), edges.indices.tolist())

    def levels(self, index: int) -> Iterator[list[int]]:
        """The synsets one hop above `index`, then two, …: each once, where the fewest hops lead to it."""
        seen, front = {index}, [index]
        while front:
            reached = (
                parent for node in front for parent in self.above[self.start[node] : self.start[node + 1]]
            )
            front = [parent for parent in dict.fromkeys(reached) if parent not in seen]
            seen.update(front)
            if front:
                yield front
