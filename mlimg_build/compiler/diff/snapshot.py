"""One side of a comparison: what a spec, a lock or a dataset says was decided, whichever of them said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter

from mlimg_build.compiler.lock.lock_reader import COUNTED

__all__ = ["COLUMN", "COUNTED", "Category", "Key", "Mapped", "Pair", "Side", "SourceFacts"]

COLUMN = {  # rule → the positions in `COUNTED` of its labels present and absent
    "stated": (0, 3),
    "ancestors": (1, 4),
    "descendants": (1, 4),
    "cooccurrence": (2, 4),
    "cooccurrence_ancestors": (2, 4),
}

Key = tuple[str, str]
"""A source and its id of a category, or the two categories of a pair."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """A source's catalog by its digest, and how much is in it; None where the side does not say."""

    digest: str
    images: int | None = None
    statements: int | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A category: its ids, its parents (sorted), and its labels in the order of `COUNTED`."""

    wnid: str
    name: str
    parents: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of a source category: `into` is the category that its labels count for, "" where they do not.

    `wnid` is where it would go also where its labels do not count. None is what the side does not say.
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
    """A pair of co-occurring categories: its share, the bound of that, and whether people refuse it."""

    share: str
    bound: str
    vetoed: bool


@dataclass(frozen=True)
class Side:
    """One side. `head` holds single facts by name; `whole` says of what fraction of the shards its labels are.

    Facts that only some sides know are left out of `head`; `vetoes` says whether refused pairs are among `pairs`.
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

    def name(self, wnid: str) -> str | None:
        """The name of a category, None where the side has no such category."""
        found = self.categories.get(wnid)
        return found.name if found else None

    def labels(self, wnid: str) -> tuple[int, ...]:
        """The labels of a category by `COUNTED`; zeros where the side has no such category."""
        found = self.categories.get(wnid)
        return found.labels if found else (0,) * len(COUNTED)

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """The labels of all categories together, by `COUNTED`."""
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
        """Every category above each; parents that are no category are left out. `CycleError`, a `ValueError`."""
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
        """Every category below each category."""
        found: dict[str, set[str]] = {wnid: set() for wnid in self.categories}
        for wnid, ancestors in self.above.items():
            for ancestor in ancestors:
                found[ancestor].add(wnid)
        return {wnid: frozenset(lower) for wnid, lower in found.items()}

    @property
    def implied_pairs(self) -> int:
        """The (category, ancestor) pairs of the hierarchy."""
        return sum(len(ancestors) for ancestors in self.above.values())
