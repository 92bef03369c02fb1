"""One side of a comparison: the decisions of a spec, a lock or a dataset in one common form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from mlimg_build.compiler.lock.lock_reader import COUNTED

__all__ = ["COLUMN", "COUNTED", "Category", "Clashes", "Key", "Mapped", "Pair", "Side", "SourceFacts"]

COLUMN = {  # rule → the positions in `COUNTED` of its labels present and absent
    "stated": (0, 3),
    "ancestors": (1, 4),
    "descendants": (1, 4),
    "cooccurrence": (2, 4),
    "cooccurrence_ancestors": (2, 4),
}

Key = tuple[str, str]
"""A source and the id of one of its categories, or the two categories of a pair."""

Clashes = Mapping[tuple[str, str, int], int]
"""(category stated absent, category stated present, what stands: 1 presence, -1 absence, 0 neither) → how many."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The digest and the sizes of a source's catalog; None if the side does not know a size."""

    digest: str
    images: int | None = None
    statements: int | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A category: its id, name, parents (sorted), and label counts in the order of `COUNTED`."""

    wnid: str
    name: str
    parents: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """How a source category is mapped: `into` is the category that its labels count for, "" if they do not count.

    `wnid` is the category it is mapped to even if its labels do not count. Fields that the side does not know are None.
    """

    name: str
    into: str
    fate: str
    method: str
    wnid: str | None = None
    relation: str | None = None
    score: str | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A pair of co-occurring categories: its share, the lower bound of the share, and whether it is vetoed.

    `adds` counts the labels that it adds: exactly those of a dataset; at most so many for a spec or a lock.
    """

    share: str
    bound: str
    vetoed: bool
    adds: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Side:
    """One side of a comparison. `head` holds single facts by name; those that the side does not know are left out.

    `vetoes` tells whether vetoed pairs are among `pairs`. `rules` are the keys of the spec as `dataset_rules` gives
    them, None if the side does not have them; `places` the lines of the keys that the spec writes; `files` the digests
    of the files that its rules name; `clashes` the contradictions within images, None if the side does not know them.
    """

    title: str
    kind: str
    head: Mapping[str, str]
    sources: Mapping[str, SourceFacts]
    images: int
    whole: float  # the fraction of the shards whose labels are counted: 1 for all
    categories: Mapping[str, Category]
    mappings: Mapping[Key, Mapped]
    pairs: Mapping[Key, Pair]
    vetoes: bool
    splits: Mapping[str, int]  # images by split
    stored: str = ""  # sha256 over the digests of all image shards; "" where the side does not know them all
    rules: Mapping[str, Any] | None = None
    places: Mapping[tuple[str | int, ...], str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    clashes: Clashes | None = None

    def name(self, wnid: str) -> str | None:
        """Return the name of a category, None if the side has no such category."""
        found = self.categories.get(wnid)
        return found.name if found else None

    def labels(self, wnid: str) -> tuple[int, ...]:
        """Return the label counts of a category in the order of `COUNTED`; zeros if the side has no such category."""
        found = self.categories.get(wnid)
        return found.labels if found else (0,) * len(COUNTED)

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """The label counts summed over all categories, in the order of `COUNTED`."""
        columns = zip(*(category.labels for category in self.categories.values()), strict=True)
        return tuple(sum(column) for column in columns) or (0,) * len(COUNTED)

    @cached_property
    def origins(self) -> dict[str, tuple[Key, ...]]:
        """The source categories whose labels count for each category, sorted."""
        found: dict[str, list[Key]] = {}
        for key, mapped in sorted(self.mappings.items()):
            if mapped.into:
                found.setdefault(mapped.into, []).append(key)
        return {wnid: tuple(keys) for wnid, keys in found.items()}

    @cached_property
    def above(self) -> dict[str, frozenset[str]]:
        """The ancestors of each category; parents that are no category are left out.

        Raises `graphlib.CycleError`, a `ValueError`, if the parents form a cycle.
        """
        parents = {
            wnid: [parent for parent in category.parents if parent in self.categories]
            for wnid, category in self.categories.items()
        }
        found: dict[str, frozenset[str]] = {}
        for wnid in TopologicalSorter(parents).static_order():
            found[wnid] = frozenset(parents[wnid]).union(*(found[parent] for parent in parents[wnid]))
        return found

    @cached_property
    def below(self) -> dict[str, frozenset[str]]:
        """The descendants of each category."""
        found: dict[str, set[str]] = {wnid: set() for wnid in self.categories}
        for wnid, ancestors in self.above.items():
            for ancestor in ancestors:
                found[ancestor].add(wnid)
        return {wnid: frozenset(lower) for wnid, lower in found.items()}

    @property
    def implied_pairs(self) -> int:
        """The number of (category, ancestor) pairs of the hierarchy."""
        return sum(len(ancestors) for ancestors in self.above.values())
