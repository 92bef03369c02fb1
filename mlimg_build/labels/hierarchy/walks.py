"""Walk up from a synset: the synsets one hypernym above it, two, three, up to the root."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlimg_build.wordnet import NounGraph

__all__ = ["Climb"]


@dataclass(frozen=True, slots=True)
class Climb:
    """The hypernym and instance-hypernym edges of a graph as plain lists, which are faster to walk than arrays."""

    start: list[int]  # [synset + 1]
    above: list[int]  # the synsets above synset i are above[start[i]:start[i + 1]], by rising index

    @classmethod
    def of(cls, graph: NounGraph) -> Climb:
        n = np.int64(len(graph))
        known = np.concatenate([graph.content.pairs[name] for name in ("hypernym", "instance_hypernym")])
        edges = np.unique(known[:, 0] * n + known[:, 1])
        start = np.searchsorted(edges, np.arange(n + 1) * n)
        return cls(start.tolist(), (edges % n).tolist())

    def levels(self, index: int) -> Iterator[list[int]]:
        """Yield the synsets one hop above `index`, then two, …: each once, at its fewest hops."""
        seen, front = {index}, [index]
        while front:
            reached = (
                parent for node in front for parent in self.above[self.start[node] : self.start[node + 1]]
            )
            front = [parent for parent in dict.fromkeys(reached) if parent not in seen]
            seen.update(front)
            if front:
                yield front
