"""The vocabulary of a dataset: which synsets are categories, and to which one each source category is mapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mlimg_build.errors import Problem, WordNetError
from mlimg_build.labels.mapping.decision import FOUND, Decision
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.wordnet import NounGraph

__all__ = [
    "FATES",
    "WAYS",
    "MappedCategory",
    "Merge",
    "Thresholds",
    "Vocabulary",
    "build_vocabulary",
    "merges",
]

FATES = ("used", "unresolved", "dropped", "excluded", "rare", "unreviewed", "is_a", "no_value")
"""The outcomes for a source category: its labels are used; no synset fits its name; the mapping file drops it; the
spec excludes it; it has too few images; nobody reviewed the decision and the spec drops such ones; it is only known
to be a kind of its synset and the spec drops such ones; its name is a word for a missing value."""

WAYS = ("same_id", "synonyms", "file", "is_a", "join", "collapse")
"""How a source category was merged with others into one category: both have the id by their sources; its name was
resolved to it; people decided; it is a kind of it; the spec joins its synset into it; the spec collapses what is
below it."""


Ancestors = Literal["none", "common", "all"]


@dataclass(frozen=True, slots=True)
class MappedCategory:
    """A decision and its outcome: `wnid` after joins and collapses, `fate`, and the images that state it present.

    `joined` is the synset after joins and before collapses. A `narrower` source category lies below its category:
    its presence implies that category, but its absence implies nothing about it.
    """

    decision: Decision
    wnid: str | None
    fate: str
    images: int
    joined: str | None = None
    narrower: bool = False

    @property
    def moved(self) -> str:
        """The last step that moved it from its own synset to its category: "join", "collapse" or ""."""
        if self.joined is None or self.joined == self.wnid == self.decision.wnid:
            return ""
        return "collapse" if self.joined != self.wnid else "join"

    @property
    def unreviewed(self) -> bool:
        """Whether a rule found the synset and no person confirmed it."""
        return self.decision.method in FOUND


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The categories, sorted by id, and the source categories in the order given, each with its fate."""

    wnids: tuple[str, ...]
    placed: tuple[MappedCategory, ...]

    def __len__(self) -> int:
        return len(self.wnids)

    @property
    def narrower(self) -> npt.NDArray[np.bool_]:
        """bool[source categories]: those whose absence implies nothing about their category."""
        return np.array([placed.narrower for placed in self.placed], dtype=bool)

    @property
    def category_of(self) -> npt.NDArray[np.int32]:
        """int32[source categories]: the position in `wnids` of each, -1 if its labels are not used."""
        at = {wnid: i for i, wnid in enumerate(self.wnids)}
        used = (placed.wnid if placed.fate == "used" else None for placed in self.placed)
        return np.array([-1 if wnid is None else at[wnid] for wnid in used], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The fewest images that a category must have to be kept."""

    per_source: Mapping[str, int]  # source name → fewest images that a category of it must be present in
    merged: int = 0  # the same after merging


class Merge(NamedTuple):
    """The result of one way of merging: source categories merged so, their categories, and their images."""

    source_categories: int
    categories: int
    images: int


def merges(vocabulary: Vocabulary) -> dict[str, Merge]:
    """Return for each of `WAYS` what it merged: source categories whose category has others too.

    Source categories that a join or a collapse moved are counted in any case, as that changed their category.
    """
    used = [row for row in vocabulary.placed if row.fate == "used"]
    into = Counter(row.wnid for row in used)
    shared = [row for row in used if into[row.wnid] > 1 or row.moved]
    found = {}
    for way in WAYS:
        rows = [row for row in shared if _way(row) == way]
        found[way] = Merge(len(rows), len({row.wnid for row in rows}), sum(row.images for row in rows))
    return found


def _way(row: MappedCategory) -> str:
    if row.moved:
        return row.moved
    if row.decision.relation == "is_a":
        return "is_a"
    return row.decision.method if row.decision.method in ("same_id", "file") else "synonyms"


def build_vocabulary(
    decisions: Sequence[Decision],
    images: Sequence[int],
    graph: NounGraph,
    *,
    thresholds: Thresholds,
    present: Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int64]] | None = None,
    join: Mapping[str, Sequence[str]] | None = None,
    collapse: Sequence[str] = (),
    excluded: Collection[tuple[str, str]] = (),
    exclude: Collection[str] = (),
    exclude_below: Sequence[str] = (),
    include: Sequence[str] = (),
    ancestors: Ancestors = "none",
    drop_below_score: float = 0.0,
    drop_is_a: bool = False,
) -> Vocabulary:
    """Build the vocabulary that follows from the decisions.

    `images[i]` counts the images that state category i present. For a threshold after merging, `present` returns
    the distinct images of each group, int64[groups], given a group number for every source category (-1: none).
    `join` maps an id to those that become it (no chains); then all that lies below an id of `collapse` becomes
    it (the highest of several, then the lowest id). `excluded` are (source, category id) pairs, `exclude`
    WordNet ids, `exclude_below` ids that are excluded with all below them; they override everything else, before
    and after joins. `include` adds ids, `ancestors` adds WordNet ancestors: "common" those in which two branches
    of the vocabulary meet, "all" every one; the threshold after merging does not remove what these add.
    Decisions that nobody confirmed and that score less than `drop_below_score` are not used.

    Raises:
        WordNetError: "unknown-synset" with every id of the spec that the release lacks.
        ValueError: if `present` is needed and not given.
    """
    into = {old: new for new, olds in (join or {}).items() for old in olds}
    _require_known([*into, *into.values(), *collapse, *exclude, *exclude_below, *include], graph)
    moves = _Moves(graph, into, collapse, {*exclude}, exclude_below)
    placed = [
        _place(
            decision,
            count,
            moves,
            fewest=thresholds.per_source.get(decision.source, 0),
            excluded=(decision.source, decision.id) in excluded,
            drop_below_score=drop_below_score,
            drop_is_a=drop_is_a,
        )
        for decision, count in zip(decisions, images, strict=True)
    ]
    wnids = {row.wnid for row in placed if row.fate == "used" and row.wnid}
    if thresholds.merged:
        if present is None:
            raise ValueError("a threshold after merging needs the statements of presence")
        merged = _merged_counts(placed, present)
        wnids = {wnid for wnid in wnids if merged[wnid] >= thresholds.merged}
    wnids |= {
        moved for wnid in include if not moves.excludes(*(steps := moves.of(wnid))) for moved in steps[1:]
    }
    wnids |= {wnid for wnid in _above(wnids, graph, ancestors) if moves.stays(wnid)}
    return Vocabulary(
        tuple(sorted(wnids)),
        tuple(
            replace(row, fate="rare") if row.fate == "used" and row.wnid not in wnids else row
            for row in placed
        ),
    )


class _Moves:
    """The moves of synsets by joins and collapses, and the excluded synsets."""

    def __init__(
        self,
        graph: NounGraph,
        into: Mapping[str, str],
        collapse: Sequence[str],
        exclude: Collection[str],
        exclude_below: Sequence[str],
    ) -> None:
        self.graph, self.into = graph, into
        self.collapsed = self._below(collapse)
        self.excluded = {*exclude, *exclude_below, *self._below(exclude_below)}

    def of(self, wnid: str) -> tuple[str, str]:
        """Return the synset that `wnid` becomes by joins, and the one that this becomes by collapses."""
        joined = self.into.get(wnid, wnid)
        return joined, self.collapsed.get(joined, joined)

    def excludes(self, *wnids: str) -> bool:
        """Return whether any of the synsets is excluded."""
        return not self.excluded.isdisjoint(wnids)

    def stays(self, wnid: str) -> bool:
        """Return whether the synset can be a category: it is neither moved nor excluded."""
        return wnid not in self.into and wnid not in self.collapsed and wnid not in self.excluded

    def narrower(self, wnid: str, moved: str) -> bool:
        """Return whether a synset lies below the one that it was moved to."""
        return moved != wnid and moved in self.graph.ancestors(wnid)

    def _below(self, tops: Sequence[str]) -> dict[str, str]:
        """Return each synset below the tops with the highest top above it, of equals the lowest id."""
        found: dict[str, str] = {}
        inner = {below for top in tops for below in self.graph.descendants(top)}
        for top in sorted({*tops} - inner):
            for below in self.graph.descendants(top):
                found.setdefault(below, top)
        return found


def _place(
    decision: Decision,
    images: int,
    moves: _Moves,
    *,
    fewest: int,
    excluded: bool,
    drop_below_score: float,
    drop_is_a: bool,
) -> MappedCategory:
    if decision.wnid is None:
        fate = "excluded" if excluded else "dropped" if decision.method == "file" else _nameless(decision)
        return MappedCategory(decision, None, fate, images)
    joined, wnid = moves.of(decision.wnid)
    narrower = False
    if excluded or moves.excludes(decision.wnid, joined, wnid):
        fate = "excluded"
    elif decision.relation == "is_a" and drop_is_a:
        fate = "is_a"
    elif decision.method in FOUND and decision.score < drop_below_score:
        fate = "unreviewed"
    else:
        fate = "rare" if images < fewest else "used"
        narrower = decision.relation == "is_a" or joined != wnid or moves.narrower(decision.wnid, joined)
    return MappedCategory(decision, wnid, fate, images, joined, narrower)


def _nameless(decision: Decision) -> str:
    return "no_value" if name_kind(decision.name or decision.id) == "no_value" else "unresolved"


def _merged_counts(
    placed: Sequence[MappedCategory], present: Callable[[npt.NDArray[np.int32]], npt.NDArray[np.int64]]
) -> dict[str, int]:
    """Return the number of distinct images of every id that used source categories were merged into."""
    wnids = sorted({row.wnid for row in placed if row.fate == "used" and row.wnid})
    at = {wnid: i for i, wnid in enumerate(wnids)}
    used = (row.wnid if row.fate == "used" else None for row in placed)
    group = np.array([-1 if wnid is None else at[wnid] for wnid in used], dtype=np.int32)
    counted = present(group)[: len(wnids)]
    return dict(zip(wnids, [*counted.tolist(), *[0] * (len(wnids) - len(counted))], strict=True))


def _above(wnids: Collection[str], graph: NounGraph, which: Ancestors) -> set[str]:
    """Return ancestors of the vocabulary: none, all, or those in which two branches of it meet.

    An ancestor above the same categories as one below it, or just above a category and what is below that, adds
    nothing new and is no meeting of branches. Of several with the same categories below, the one with most ancestors
    is taken, then the lowest id.
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
                _unknown(unknown, graph),
                hint="correct the id, or set `wordnet: {path: …}` to the release that it is of"
                if graph.wordnet
                else graph.near(unknown[0]),
            )
        )


def _unknown(wnids: Sequence[str], graph: NounGraph) -> str:
    what = f"WordNet {graph.release} has no noun" if graph.wordnet else "no source has the category"
    return f"{what} {', '.join(wnids)}, named by the spec's vocabulary"
