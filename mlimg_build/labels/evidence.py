"""Why a sense was chosen, in short clauses for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mlimg_build.labels.candidates import FORMS
from mlimg_build.labels.scoring import FEATURES, Belief, Context
from mlimg_build.labels.senses import Landscape, Senses
from mlimg_build.labels.spelling import hint
from mlimg_build.wordnet import NounGraph

__all__ = ["clauses"]

_AT = {name: i for i, name in enumerate(FEATURES)}
_ORDINALS = ("first", "second", "third")
CLOSE = 0.5  # the narrowness of the lowest synset above two that are called near each other
DENSE = 0.5  # the logarithm of a density that is worth a clause
SHOWN = 3  # labels of the same images in one clause


def clauses(
    at: int,
    names: Sequence[str],
    chosen: Callable[[int], int | None],
    *,
    senses: Senses,
    belief: Belief,
    context: Context,
    landscape: Landscape,
    graph: NounGraph,
) -> Iterator[str]:
    """What speaks for candidate `at`, in a fixed order; `chosen(i)` is the candidate taken for category i."""
    candidate, owner = senses.found[at], int(senses.owner[at])
    features = belief.features[at]
    name = names[owner]
    form = candidate.form.replace("_", " ")
    if candidate.is_head:
        yield f"a kind of {form!r}, the head of its name"
    elif form != name:
        yield f"as {form!r}"
    yield _place(candidate.rank, candidate.senses)
    if candidate.kind == FORMS[1] and features[_AT["form"]]:
        yield "the singular fits better than the plural"
    if features[_AT["hint"]]:
        yield f"fits {', '.join(hint(name))}"
    if features[_AT["shared"]]:
        yield "another category has it by id"
    yield from _parents(at, owner, chosen, senses, context, landscape, graph)
    yield from _colabels(at, owner, names, chosen, senses, context, landscape)
    lift = features[_AT["neighbours"]]
    if candidate.senses > 1 and lift > DENSE and belief.held[at] >= 1:
        dense = graph.wnid(int(belief.densest[at]))
        yield f"{belief.held[at]:.0f} other categories are kinds of {graph.name(dense)} {dense}"
    rivals = np.flatnonzero((senses.owner == owner) & (senses.node != senses.node[at]))
    if len(rivals):
        rival = int(rivals[np.argmax(belief.score[rivals])])
        here, there = (graph.lexname(senses.found[i].wnid).partition(".")[2] for i in (at, rival))
        if here != there:
            yield f"{here} rather than {there}"
        elif candidate.rank > senses.found[rival].rank:
            better = features - belief.features[rival]
            if better[_AT["first"]] > 0:
                yield f"its synset is first of all called {form!r}"
            elif better[_AT["breadth"]] > 0:
                yield "the broader sense"


def _place(rank: int, senses: int) -> str:
    """Where a sense stands.

    >>> _place(1, 1), _place(2, 5), _place(4, 5)
    ('its only sense', 'second of 5 senses', '4th of 5 senses')
    """
    if senses == 1:
        return "its only sense"
    ordinal = _ORDINALS[rank - 1] if rank <= len(_ORDINALS) else f"{rank}th"
    return f"{ordinal} of {senses} senses"


def _parents(
    at: int,
    owner: int,
    chosen: Callable[[int], int | None],
    senses: Senses,
    context: Context,
    landscape: Landscape,
    graph: NounGraph,
) -> Iterator[str]:
    held = {int(senses.node[one]) for i in _row(context.parents, owner) if (one := chosen(i)) is not None}
    if not held:
        return
    above, part = held & set(_row(senses.above, at)), held & set(_row(senses.within, at))
    if above:
        # The lowest is the most telling: it has most above it.
        depth = np.diff(landscape.up.indptr)
        wnid = graph.wnid(max(above, key=lambda node: (int(depth[node]), -node)))
        yield f"below its parent's synset {wnid} {graph.name(wnid)}"
    elif part:
        wnid = graph.wnid(min(part))
        yield f"part of its parent's synset {wnid} {graph.name(wnid)}"
    else:
        yield "not below its parent's synset"


def _colabels(
    at: int,
    owner: int,
    names: Sequence[str],
    chosen: Callable[[int], int | None],
    senses: Senses,
    context: Context,
    landscape: Landscape,
) -> Iterator[str]:
    matrix = context.colabels
    row = slice(matrix.indptr[owner], matrix.indptr[owner + 1])
    ranked = sorted(zip(-matrix.data[row], matrix.indices[row].tolist(), strict=True))
    mine, narrow = set(_row(senses.above, at)), landscape.narrow
    near = [
        names[i]
        for _, i in ranked
        if (one := chosen(i)) is not None
        and max((narrow[node] for node in mine & set(_row(senses.above, one))), default=0.0) >= CLOSE
    ]
    if near:
        yield f"its images also show {', '.join(near[:SHOWN])}"


def _row(matrix: object, at: int) -> list[int]:
    indptr, indices = matrix.indptr, matrix.indices  # type: ignore[attr-defined]
    columns: list[int] = indices[indptr[at] : indptr[at + 1]].tolist()
    return columns
