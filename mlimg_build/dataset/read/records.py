"""The values that a reader gets: images with labels and contradictions, categories and mappings, all by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.text import Texts
from mlimg_build.errors import DamagedDataset, DatasetError, Problem

__all__ = ["Categories", "Contradiction", "Image", "Label", "Mapped", "Mappings", "Pair", "RowReader"]

SHOWN = 8  # categories that are printed


@dataclass(frozen=True, slots=True)
class Label:
    """One statement about an image: `state` is +1 (present) or -1 (verified absent).

    `category` and `via` index the categories, `mapping` the mappings (-1: none); `rule` is what added the label,
    `source` the source of the statement that it rests on, `record` the row of that source's label list, `member` the id
    of the image of which it was stated: the image itself or a copy of it.
    """

    category: int
    wnid: str
    name: str
    state: int
    confidence: float
    rule: str
    via: int
    source: str
    mapping: int
    record: int
    member: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An absent and a present statement that exclude each other; `kept`: +1 presence, -1 absence, 0 neither.

    The members are the ids of the images of which they were stated: the image itself or copies of it.
    """

    absent: int
    present: int
    absent_mapping: int
    present_mapping: int
    absent_record: int
    present_record: int
    confidence: float
    kept: int
    absent_member: str
    present_member: str


class RowReader(Protocol):
    """What an image reads from its split, by its row."""

    def read(self, row: int) -> bytes:
        """Return the stored file."""

    def labels(self, row: int) -> tuple[Label, ...]:
        """Return the labels of the image, those of its copies included."""

    def own_labels(self, row: int) -> tuple[Label, ...]:
        """Return the image's own labels."""

    def contradictions(self, row: int) -> tuple[Contradiction, ...]:
        """Return the statements that excluded each other."""

    def copies_of(self, row: int) -> tuple[str, ...]:
        """Return the ids of the images with the same bytes."""

    def counts(self, row: int) -> bool:
        """Return whether it is the counted one of them."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image of a split; its bytes, labels and contradictions are read on demand."""

    row: int
    id: str
    split: str
    source: str
    height: int
    width: int
    digest: str
    status: str
    licence: str
    author: str
    source_digest: str | None = None
    _split: RowReader = field(repr=False, compare=False, kw_only=True)

    @property
    def data(self) -> bytes:
        """The stored file; empty if the image failed."""
        return self._split.read(self.row)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of the image, in the order of the label table; those of its copies too, if it is counted."""
        return self._split.labels(self.row)

    @property
    def own_labels(self) -> tuple[Label, ...]:
        """The labels in the image's own shard, without those of its copies."""
        return self._split.own_labels(self.row)

    @property
    def copies(self) -> tuple[str, ...]:
        """The ids of the images with the same bytes, the counted one first; empty if there is no other."""
        return self._split.copies_of(self.row)

    @property
    def counts(self) -> bool:
        """Whether the image is counted: of images with the same bytes, the first of `copies` is."""
        return self._split.counts(self.row)

    @property
    def contradictions(self) -> tuple[Contradiction, ...]:
        """The statements about the image that excluded each other."""
        return self._split.contradictions(self.row)


class Categories:
    """The categories in their order: ids, names, parents (indices), positives and negatives (images)."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.wnid: list[str] = _texts(arrays, "wnid").tolist()
        self.names: list[str] = _texts(arrays, "name").tolist()
        self.positives: NDArray[np.int64] = arrays["positives"]
        self.negatives: NDArray[np.int64] = arrays["negatives"]
        self.parent_start: NDArray[np.int64] = arrays["parent_start"]
        self.parent_index: NDArray[np.int32] = arrays["parent_index"]

    def __len__(self) -> int:
        return len(self.wnid)

    def __repr__(self) -> str:
        shown = [f"{wnid} {name}" for wnid, name in zip(self.wnid[:SHOWN], self.names, strict=False)]
        return f"Categories({len(self)}: {', '.join(shown)}{', …' * (len(self) > SHOWN)})"

    @cached_property
    def parents(self) -> tuple[tuple[int, ...], ...]:
        """The indices of each category's parents.

        Raises:
            DamagedDataset: `column-unreadable` if categories are their own ancestors.
        """
        starts, index = self.parent_start.tolist(), self.parent_index.tolist()
        parents = tuple(tuple(index[a:b]) for a, b in pairwise(starts))
        try:
            TopologicalSorter(dict(enumerate(parents))).prepare()
        except CycleError as error:
            cycle = " → ".join(self.wnid[number] for number in error.args[1][:10])
            message = f"categories are their own ancestors: {cycle}"
            raise DamagedDataset(Problem("column-unreadable", message, hint="run `mlimg verify`")) from error
        return parents

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {wnid: number for number, wnid in enumerate(self.wnid)}

    def index(self, wnid: str) -> int:
        """Return the index of the category with this WordNet id.

        Raises:
            DatasetError: `category-unknown` if there is none.
        """
        number = self._numbers.get(wnid)
        if number is None:
            hint = "give a WordNet id, such as n02084071, that the dataset holds"
            raise DatasetError(Problem("category-unknown", f"no category has the id {wnid!r}", hint=hint))
        return number


@dataclass(frozen=True, slots=True)
class Mapped:
    """One source category and the category it is mapped to (-1: none), by which method and with what evidence.

    `synset` is the synset that its name was resolved to, `joined` the one that joins made of that; None for none.
    `relation` is its relation to its synset ("same_as", "is_a"), `fate` the outcome. If it is `narrower` than its
    category, its absence implies nothing. `score` is 0 to 1.
    """

    source: str
    id: str
    name: str
    category: int
    method: str
    score: float
    narrower: bool
    fate: str
    relation: str
    synset: str | None
    joined: str | None
    evidence: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two categories that co-occur: `together` of the `images` with the antecedent had the consequent.

    `bound` is the lower confidence bound of that share; a label added by the pair has it as its confidence, times
    that of the antecedent's label.
    """

    antecedent: int
    consequent: int
    together: int
    images: int
    bound: float


CODES = ("source", "method", "category", "score", "narrower", "fate", "relation")


class Mappings(Sequence[Mapped]):
    """The source categories in their order; a label's `mapping` is a row number of it."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], tables: Mapping[str, Sequence[str]]) -> None:
        self._arrays = arrays
        self._tables = tables

    def __len__(self) -> int:
        return len(self._arrays["category"])

    @property
    def category(self) -> NDArray[np.int32]:
        """The category of each row, -1 for none."""
        return self._arrays["category"]

    @overload
    def __getitem__(self, row: int) -> Mapped: ...
    @overload
    def __getitem__(self, row: slice) -> list[Mapped]: ...
    def __getitem__(self, row: int | slice) -> Mapped | list[Mapped]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        values = {name: self._arrays[name][row] for name in CODES}
        texts = {
            name: _texts(self._arrays, name)[row] for name in ("id", "name", "synset", "joined", "evidence")
        }
        return Mapped(
            source=self._tables["sources"][int(values["source"])],
            method=self._tables["methods"][int(values["method"])],
            category=int(values["category"]),
            score=round(float(values["score"]), 3),
            narrower=bool(values["narrower"]),
            fate=self._tables["fates"][int(values["fate"])],
            relation=self._tables["relations"][int(values["relation"])],
            id=texts["id"],
            name=texts["name"],
            synset=texts["synset"] or None,
            joined=texts["joined"] or None,
            evidence=texts["evidence"],
        )


def _texts(arrays: Mapping[str, NDArray[Any]], name: str) -> Texts:
    return Texts(arrays[name], arrays[f"{name}_stop"])
