"""The candidates of many categories as columns, with what depends on no other name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.mapping.candidates import Candidate
from mlimg_build.wordnet import NounGraph

__all__ = ["Landscape", "Senses"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Landscape:
    """A noun graph as the scores need it: all synsets above each one, and the number below it."""

    up: sparse.csr_array  # float64[n, n]: 1 where the column is the row's synset itself or above it
    whole: sparse.csr_array  # float64[n, n]: 1 where the row is a part of the column
    size: npt.NDArray[np.int64]  # [n]: the synsets at or below each
    narrow: (
        Floats  # [n]: 1 for a synset with nothing below it, 0 for the one above all, by the logarithm of size
    )
    instance: npt.NDArray[np.bool_]  # [n]: an instance (a person, a place) and no kind

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, graph: NounGraph) -> Landscape:
        """Compute the landscape of a graph; takes a fraction of a second, once for each graph."""
        n = len(graph)
        up = sparse.csr_array(graph.closure().astype(np.float64) + sparse.eye_array(n, format="csr"))
        size = np.asarray(up.sum(axis=0)).astype(np.int64)
        instance = np.zeros(n, dtype=np.bool_)
        instance[graph.content.pairs["instance_hypernym"][:, 0]] = True
        whole = sparse.csr_array(graph.edges("part_holonym").astype(np.float64))
        narrow = 1 - np.log(size) / np.log(size.max())
        return cls(up, whole, size, narrow, instance)


@dataclass(frozen=True, slots=True)
class Senses:
    """The candidates of n categories, one after the other; `belief` sums to 1 over those of a category."""

    found: tuple[Candidate, ...]
    owner: npt.NDArray[np.int64]  # [candidate]: the category, rising
    node: npt.NDArray[np.int64]  # [candidate]: the synset
    above: sparse.csr_array  # float64[candidate, n]: 1 for the synset itself and all above it
    within: sparse.csr_array  # the same with the wholes that it is a part of, and all above them
    categories: int

    @classmethod
    def of(cls, choices: Sequence[Sequence[Candidate]], graph: NounGraph, landscape: Landscape) -> Senses:
        """Return the candidates of every category, in order."""
        found = tuple(candidate for choice in choices for candidate in choice)
        owner = np.repeat(np.arange(len(choices)), [len(choice) for choice in choices])
        node = graph.indices([candidate.wnid for candidate in found]).astype(np.int64)
        above = sparse.csr_array(landscape.up[node])
        wholes = sparse.csr_array(above @ landscape.whole @ landscape.up)
        within = sparse.csr_array((above + wholes) > 0).astype(np.float64)
        return cls(found, owner, node, above, within, len(choices))

    def __len__(self) -> int:
        return len(self.found)

    def softmax(self, score: Floats) -> Floats:
        """Return the belief in each candidate, float64[candidate]: exp(score), normalised to 1 within a category."""
        top = np.full(self.categories, -np.inf)
        np.maximum.at(top, self.owner, score)
        grown = np.exp(score - top[self.owner])
        total = np.bincount(self.owner, grown, minlength=self.categories)
        belief: Floats = grown / total[self.owner]
        return belief

    def spread(self, belief: Floats) -> sparse.csr_array:
        """Return float64[category, candidate]: the belief of each candidate in the row of its category."""
        at = (self.owner, np.arange(len(self)))
        return sparse.csr_array((belief, at), shape=(self.categories, len(self)))

    def synsets(self, belief: Floats) -> sparse.csr_array:
        """Return float64[category, n]: the belief of each category in each synset."""
        shape = (self.categories, self.above.shape[1])
        return sparse.csr_array((belief, (self.owner, self.node)), shape=shape)
