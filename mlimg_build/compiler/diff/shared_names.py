"""Tell categories apart that bear one name on the two sides of a comparison: by their sense and their id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mlimg_build.compiler.diff.snapshot import Side
from mlimg_build.errors import WordNetError
from mlimg_build.labels import distinct_names
from mlimg_build.wordnet import NounGraph, load

__all__ = ["with_distinct_names"]


def with_distinct_names(before: Side, after: Side) -> tuple[Side, Side]:
    """Return the sides with the sense, if the shipped WordNet knows it, and the id behind names that several share.

    Within a side names are distinct; on the two sides, `toilet` may be the room and the bowl.
    """
    holders: dict[str, set[str]] = {}
    for side in (before, after):
        for wnid, category in side.categories.items():
            holders.setdefault(category.name, set()).add(wnid)
    shared = sorted(wnid for wnids in holders.values() if len(wnids) > 1 for wnid in wnids)
    if not shared:
        return before, after
    senses = _senses(shared)
    return _renamed(before, senses), _renamed(after, senses)


def _senses(wnids: Iterable[str]) -> dict[str, str | None]:
    """Return each category's name with its sense, None if the shipped WordNet does not have all of them."""
    try:
        graph: NounGraph = load()
        return dict(zip(wnids, distinct_names(graph, [*wnids]), strict=True))
    except WordNetError:
        return dict.fromkeys(wnids)


def _renamed(side: Side, senses: dict[str, str | None]) -> Side:
    changed = {
        wnid: replace(category, name=f"{senses[wnid] or category.name} {wnid}")
        for wnid, category in side.categories.items()
        if wnid in senses
    }
    return replace(side, categories={**side.categories, **changed})
