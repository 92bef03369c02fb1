"""Parts and wholes inside a vocabulary, from which an allow-list can be made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse.csgraph import connected_components

from mlimg_build.wordnet import NounGraph
from mlimg_build.wordnet.closure import from_pairs as matrix_of

__all__ = ["circular_parts", "part_pairs"]

Pairs = tuple[tuple[str, str], ...]


def part_pairs(graph: NounGraph, wnids: Sequence[str]) -> Pairs:
    """Return the direct (part, whole) pairs of WordNet with both among `wnids`, sorted.

    People must decide whether an image of the part shows the whole: an apple in a bowl is on no apple tree.

    Raises:
        WordNetError: those of `NounGraph.index`.
    """
    inside = np.zeros(len(graph), dtype=bool)
    inside[[graph.index(wnid) for wnid in wnids]] = True
    pairs = graph.content.pairs["part_holonym"]
    kept = pairs[inside[pairs].all(axis=1)]
    return tuple((graph.wnid(part), graph.wnid(whole)) for part, whole in kept.tolist())


def circular_parts(graph: NounGraph, pairs: Sequence[tuple[str, str]]) -> Pairs:
    """Return the (part, whole) pairs that lie on a cycle with hypernyms or with each other, in their order.

    Without them the pairs can all be allowed at once.

    Raises:
        WordNetError: those of `NounGraph.index`.
    """
    ends = np.array([[graph.index(part), graph.index(whole)] for part, whole in pairs], dtype=np.int32)
    ends = ends.reshape(-1, 2)
    known = [graph.content.pairs[relation] for relation in ("hypernym", "instance_hypernym")]
    edges = matrix_of(np.concatenate([*known, ends]), len(graph))
    _, circle = connected_components(edges.astype(np.int8), directed=True, connection="strong")
    return tuple(
        pair for pair, same in zip(pairs, circle[ends[:, 0]] == circle[ends[:, 1]], strict=True) if same
    )
