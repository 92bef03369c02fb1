"""The categories of a dataset: which synsets stay, and which source category goes into which."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels.mapping import Decision
from mlimg_build.wordnet import NounGraph

__all__ = ["FATES", "Placed", "Thresholds", "Vocabulary", "gather"]

FATES = ("used", "unresolved", "dropped", "excluded", "rare", "unreviewed")
"""What became of a source category: its labels count; nothing fits its name; the mapping file drops it; the
spec excludes it; it has too few images; nobody reviewed the decision and the spec drops such ones."""

Ancestors = Literal["none", "common", "all"]


@dataclass(frozen=True, slots=True)
class Placed:
    """A decision with what became of it: `wnid` after joins, `fate`, and the images that state it present."""

    decision: Decision
    wnid: str | None
    fate: str
    images: int


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The categories, sorted by id, and the source categories in the order given, each with its fate."""

    wnids: tuple[str, ...]
    placed: tuple[Placed, ...]

    def __len__(self) -> int:
        return len(self.wnids)

    @property
    def category_of(self) -> npt.NDArray[np.int32]:
        """int32[source categories]: the position in `wnids` of each, -1 where its labels do not count."""
        at = {wnid: i for i, wnid in enumerate(self.wnids)}
        used = (placed.wnid if placed.fate == "used" else None for placed in self.placed)
        return np.array([-1 if wnid is None else at[wnid] for wnid in used], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a category must have to stay."""

    per_source: Mapping[str, int]  # source name → fewest images that a category of it must be present in
    merged: int = 0  # the same after merging


def gather(
    decisions: Sequence[Decision],
    images: Sequence[int],
    graph: NounGraph,
    *,
    thresholds: Thresholds,
    present: Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int64]] | None = None,
    join: Mapping[str, Sequence[str]] | None = None,
    excluded: Collection[tuple[str, str]] = (),
    exclude: Collection[str] = (),
    include: Sequence[str] = (),
    ancestors: Ancestors = "none",
    drop_unreviewed: bool = False,
) -> Vocabulary:
    """The vocabulary that the decisions make.

    `images[i]` counts the images that state category i present. For a threshold after merging, `present` gives
    the distinct images of each group for a group number of every source category (-1: in none); int64[groups].
    `join` maps an id to those that become it (no chains). `excluded` are (source, category id) pairs, `exclude`
    WordNet ids; they win over all else. `include` adds ids, `ancestors` adds WordNet ancestors: "common" those in
    which two branches of the vocabulary meet, "all" every one; the threshold after merging does not take away what
    these add.
    Raises `WordNetError` "unknown-synset" with every id of the spec that the release lacks, `ValueError`
    where `present` is needed and not given.
    """
    into = {old: new for new, olds in (join or {}).items() for old in olds}
    _require_known([*into, *into.values(), *exclude, *include], graph)
    placed = [
        _place(
            decision,
            count,
            into,
            fewest=thresholds.per_source.get(decision.source, 0),
            excluded=(decision.source, decision.id) in excluded,
            exclude=exclude,
            drop_unreviewed=drop_unreviewed,
        )
        for decision, count in zip(decisions, images, strict=True)
    ]
    wnids = {row.wnid for row in placed if row.fate == "used" and row.wnid}
    if thresholds.merged:
        if present is None:
            raise ValueError("a threshold after merging needs the statements of presence")
        merged = _merged_counts(placed, present)
        wnids = {wnid for wnid in wnids if merged[wnid] >= thresholds.merged}
    left_out = {*exclude, *into}
    wnids |= {into.get(wnid, wnid) for wnid in include} - left_out
    wnids |= _above(wnids, graph, ancestors) - left_out
    return Vocabulary(
        tuple(sorted(wnids)),
        tuple(
            replace(row, fate="rare") if row.fate == "used" and row.wnid not in wnids else row
            for row in placed
        ),
    )


def _place(
    decision: Decision,
    images: int,
    into: Mapping[str, str],
    *,
    fewest: int,
    excluded: bool,
    exclude: Collection[str],
    drop_unreviewed: bool,
) -> Placed:
    wnid = into.get(decision.wnid, decision.wnid) if decision.wnid else None
    if excluded or (wnid is not None and wnid in exclude):
        fate = "excluded"
    elif wnid is None:
        fate = "dropped" if decision.method == "file" else "unresolved"
    elif drop_unreviewed and decision.method in ("synonym", "lemma"):
        fate = "unreviewed"
    elif images < fewest:
        fate = "rare"
    else:
        fate = "used"
    return Placed(decision, wnid, fate, images)


def _merged_counts(
    placed: Sequence[Placed], present: Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int64]]
) -> dict[str, int]:
    """The distinct images of every id that used source categories were merged into."""
    wnids = sorted({row.wnid for row in placed if row.fate == "used" and row.wnid})
    at = {wnid: i for i, wnid in enumerate(wnids)}
    used = (row.wnid if row.fate == "used" else None for row in placed)
    group = np.array([-1 if wnid is None else at[wnid] for wnid in used], dtype=np.int32)
    counted = present(group)[: len(wnids)]
    return dict(zip(wnids, [*counted.tolist(), *[0] * (len(wnids) - len(counted))], strict=True))


def _above(wnids: Collection[str], graph: NounGraph, which: Ancestors) -> set[str]:
    """Ancestors of the vocabulary: none, all, or those in which two branches of it meet.

    An ancestor that holds the same categories as one below it, or just a category and what is below that,
    says nothing new and is no meeting of branches. Of several nearest ones the one with most ancestors is
    taken, then the lowest id.
    """
    if which == "none" or not wnids:
        return set()
    closure = graph.closure()
    chosen = graph.indices(sorted(wnids))
    above = closure[chosen].tocsc()
    every = np.flatnonzero(np.diff(above.indptr)).tolist()
    if which == "all":
        return {graph.wnid(node) for node in every} - set(wnids)
    start, rows = above.indptr.tolist(), above.indices.tolist()
    held = {node: frozenset(rows[start[node] : start[node + 1]]) for node in every}
    row_of = {node: row for row, node in enumerate(chosen.tolist())}
    said = {held[node] | {row_of[node]} for node in held if node in row_of}
    depth = np.diff(closure.indptr).tolist()
    nearest: dict[frozenset[int], int] = {}
    for node in sorted(held.keys() - row_of.keys(), key=lambda node: (-depth[node], node)):
        if len(held[node]) > 1 and held[node] not in said:
            nearest.setdefault(held[node], node)
    return {graph.wnid(node) for node in nearest.values()}


def _require_known(wnids: Sequence[str], graph: NounGraph) -> None:
    unknown = sorted({wnid for wnid in wnids if wnid not in graph})
    if unknown:
        raise WordNetError(
            Problem(
                "unknown-synset",
                f"WordNet {graph.release} has no noun {', '.join(unknown)}, named by the spec's vocabulary",
                hint="correct the id, or set `wordnet: {path: …}` to the release that it is of",
            )
        )
