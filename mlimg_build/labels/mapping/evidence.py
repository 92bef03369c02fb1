"""The reasons for a chosen sense, in short clauses for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from mlimg_build.labels.mapping.candidates import BASE
from mlimg_build.labels.mapping.scores import FEATURES, Belief, Context
from mlimg_build.labels.mapping.senses import Landscape, Senses
from mlimg_build.labels.mapping.spelling import hint
from mlimg_build.wordnet import NounGraph

__all__ = ["Reasons"]

_AT = {name: i for i, name in enumerate(FEATURES)}
_ORDINALS = ("first", "second", "third")
_SPELLED = 20  # above this rank, ordinals end in st, nd and rd again
CLOSE = 0.5  # least narrowness of the lowest synset above two that are near each other
DENSE = 0.5  # least logarithm of a density that gets a clause
SHOWN = 3  # labels of the same images in one clause


@dataclass(frozen=True, slots=True)
class Reasons:
    """The inputs of all decisions; `chosen(i)` is the candidate that was taken for category i."""

    names: Sequence[str]
    senses: Senses
    belief: Belief
    context: Context
    landscape: Landscape
    graph: NounGraph
    chosen: Callable[[int], int | None]

    def clauses(self, at: int) -> Iterator[str]:
        """Yield the evidence for or against candidate `at`, in a fixed order; only what the policy weighs."""
        yield from self._form(at)
        yield _place(self.senses.found[at].rank, self.senses.found[at].senses)
        if self._weighed(at, "form") and self.senses.found[at].kind == BASE:
            yield "the singular fits better than the plural"
        if self._weighed(at, "hint"):
            yield f"fits {', '.join(hint(self._name(at)))}"
        if self._weighed(at, "shared"):
            yield "another category has it by id"
        if "parents" in self.belief.weighed:
            yield from self._parents(at)
        if "colabels" in self.belief.weighed:
            yield from self._colabels(at)
        if self._weighed(at, "neighbours") > DENSE and self.belief.held[at] >= 1:
            yield from self._neighbours(at)
        if "kind" in self.belief.weighed:
            yield from self._rival(at)

    def _weighed(self, at: int, feature: str) -> float:
        return float(self.belief.features[at, _AT[feature]]) if feature in self.belief.weighed else 0.0

    def _name(self, at: int) -> str:
        return self.names[int(self.senses.owner[at])]

    def _form(self, at: int) -> Iterator[str]:
        candidate = self.senses.found[at]
        form = candidate.form.replace("_", " ")
        if candidate.is_head:
            yield f"a kind of {form!r}, the head of its name"
        elif form != self._name(at):
            yield f"as {form!r}"

    def _parents(self, at: int) -> Iterator[str]:
        parents = _row(self.context.parents, int(self.senses.owner[at]))
        held = {int(self.senses.node[one]) for i in parents if (one := self.chosen(i)) is not None}
        # Of several the lowest is the most informative: it has the most ancestors.
        depth = np.diff(self.landscape.up.indptr)
        held_by_depth = sorted(held, key=lambda node: (-int(depth[node]), node))
        for relation, matrix in (("below", self.senses.above), ("part of", self.senses.within)):
            higher = set(_row(matrix, at))
            if found := [node for node in held_by_depth if node in higher]:
                wnid = self.graph.wnid(found[0])
                yield f"{relation} its parent's synset {wnid} {self.graph.name(wnid)}"
                return
        if held:
            yield "not below its parent's synset"

    def _colabels(self, at: int) -> Iterator[str]:
        owner, matrix = int(self.senses.owner[at]), self.context.colabels
        row = slice(matrix.indptr[owner], matrix.indptr[owner + 1])
        ranked = sorted(zip(-matrix.data[row], matrix.indices[row].tolist(), strict=True))
        mine = set(_row(self.senses.above, at))
        near = [i for _, i in ranked if self._nearness(mine, self.chosen(i)) >= CLOSE]
        if near:
            yield f"its images also show {', '.join(self.names[i] for i in near[:SHOWN])}"

    def _nearness(self, mine: set[int], other: int | None) -> float:
        if other is None:
            return 0.0
        common = mine & set(_row(self.senses.above, other))
        return max((float(self.landscape.narrow[node]) for node in common), default=0.0)

    def _neighbours(self, at: int) -> Iterator[str]:
        if self.senses.found[at].senses > 1:
            dense = self.graph.wnid(int(self.belief.densest[at]))
            count = f"{self.belief.held[at]:.0f} other categories"
            yield f"{count} are kinds of {self.graph.name(dense)} {dense}"

    def _rival(self, at: int) -> Iterator[str]:
        """Yield what distinguishes it from the likeliest other sense."""
        senses, belief = self.senses, self.belief
        rivals = np.flatnonzero((senses.owner == senses.owner[at]) & (senses.node != senses.node[at]))
        if not len(rivals):
            return
        rival = int(rivals[np.argmax(belief.score[rivals])])
        here, there = (self.graph.lexname(senses.found[i].wnid).partition(".")[2] for i in (at, rival))
        better = belief.features[at] - belief.features[rival]
        if here != there:
            yield f"{here} rather than {there}"
        elif better[_AT["order"]] < 0 < better[_AT["first"]]:
            yield "its synset is first of all called that"
        elif better[_AT["order"]] < 0 < better[_AT["breadth"]]:
            yield "the broader sense"


def _place(rank: int, senses: int) -> str:
    """Return the rank of a sense in words.

    >>> _place(1, 1), _place(2, 5), _place(4, 5), _place(21, 33)
    ('its only sense', 'second of 5 senses', '4th of 5 senses', 'sense 21 of 33')
    """
    if senses == 1:
        return "its only sense"
    if rank > _SPELLED:
        return f"sense {rank} of {senses}"
    ordinal = _ORDINALS[rank - 1] if rank <= len(_ORDINALS) else f"{rank}th"
    return f"{ordinal} of {senses} senses"


def _row(matrix: sparse.csr_array, at: int) -> list[int]:
    columns: list[int] = matrix.indices[matrix.indptr[at] : matrix.indptr[at + 1]].tolist()
    return columns
