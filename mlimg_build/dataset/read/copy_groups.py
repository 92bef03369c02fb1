"""Groups of images with the same bytes: their members, the counted one of each, and the merged labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import COPIES
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.format.value_ranges import SizeOf
from mlimg_build.dataset.read.array_files import damaged, read_column
from mlimg_build.dataset.read.column_checks import check_groups, check_table

__all__ = ["CopyGroup", "CopyGroups"]


@dataclass(frozen=True, slots=True)
class CopyGroup:
    """Images with the same bytes, the counted one first; `places` are (split, row), None if not in the dataset.

    `merged` says whether the labels of the first were merged with those of its copies.
    """

    ids: tuple[str, ...]
    sources: tuple[str, ...]
    places: tuple[tuple[str, int] | None, ...]
    merged: bool


class CopyGroups(Sequence[CopyGroup]):
    """The groups of a dataset, in the order of sha256(id) of the counted images; tables are read on first use."""

    def __init__(
        self,
        folder: Path,
        splits: Mapping[str, int],
        sources: Sequence[str],
        check: Callable[[], None],
        size_of: SizeOf,
    ) -> None:
        """`splits` gives the number of images of each split; `check` is called before anything is read."""
        self._folder = folder
        self._splits = list(splits)
        self._images = np.array([*splits.values(), 0], np.int64)
        self._sources = sources
        self._check = check
        self._size_of = size_of

    def table(self, name: str) -> Mapping[str, NDArray[Any]]:
        """Return a table of `layout.COPIES` by column."""
        tables: dict[str, Callable[[], Mapping[str, NDArray[Any]]]] = {
            "groups": lambda: self._groups,
            "members": lambda: self._members,
            "labels": lambda: self._labels,
            "contradictions": lambda: self._contradictions,
        }
        return tables[name]()

    @cached_property
    def _groups(self) -> Mapping[str, NDArray[Any]]:
        found = self._read("groups")
        check_groups(found["start"], found["stop"], len(self._members["row"]), "the groups of copies")
        if (found["start"] == found["stop"]).any():
            raise damaged("a group of copies has no image")
        return found

    @cached_property
    def _members(self) -> Mapping[str, NDArray[Any]]:
        found = self._read("members")
        split, row = found["split"].astype(np.int64), found["row"]
        if not ((split < 0) == (row < 0)).all() or (row >= self._images[split])[split >= 0].any():
            raise damaged("the members of copies name rows that no split has")
        return found

    @cached_property
    def ids(self) -> Texts:
        """The ids of the members."""
        return Texts(self._members["id"], self._members["id_stop"])

    @cached_property
    def _labels(self) -> Mapping[str, NDArray[Any]]:
        return self._of_groups("labels", "category")

    @cached_property
    def _contradictions(self) -> Mapping[str, NDArray[Any]]:
        return self._of_groups("contradictions", "absent")

    def _of_groups(self, name: str, column: str) -> Mapping[str, NDArray[Any]]:
        found = self._read(name)
        check_groups(found["start"], found["stop"], len(found[column]), f"the {name} of copies")
        if len(found["start"]) != len(self):
            raise damaged(f"the {name} of copies are not those of the {len(self):,} groups")
        return found

    def _read(self, name: str) -> Mapping[str, NDArray[Any]]:
        self._check()
        schema = COPIES[name]
        arrays = {column.name: read_column(self._folder / name / column.name, column) for column in schema}
        check_table(name, schema, arrays, self._size_of)
        for array in arrays.values():
            array.flags.writeable = False
        return arrays

    @cached_property
    def first(self) -> NDArray[np.bool_]:
        """bool[members]: whether a member is the counted one of its group."""
        mask = np.zeros(len(self._members["row"]), np.bool_)
        mask[self._groups["start"].astype(np.int64)] = True
        return mask

    @cached_property
    def group_of(self) -> NDArray[np.int64]:
        """int64[members]: the group of each."""
        return np.repeat(np.arange(len(self)), np.diff(_bounds(self._groups)))

    @cached_property
    def _places(self) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The rows of each split that are members, in order, and which members they are."""
        found = {}
        for number, split in enumerate(self._splits):
            members = np.flatnonzero(self._members["split"] == number)
            rows = self._members["row"][members]
            order = np.argsort(rows, kind="stable")
            found[split] = rows[order], members[order]
        return found

    def within(self, split: str, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows of a split from `start` to `stop` that are copies, in order, and the member that each is."""
        rows, members = self._places[split]
        low, high = np.searchsorted(rows, (start, stop))
        return rows[low:high], members[low:high]

    def find(self, split: str, row: int) -> int | None:
        """Return the group of an image, None if it has no copies."""
        _, members = self.within(split, row, row + 1)
        return int(self.group_of[members[0]]) if len(members) else None

    def counts(self, split: str, row: int) -> bool:
        """Return whether an image is counted: it has no copies, or is the first of them."""
        _, members = self.within(split, row, row + 1)
        return not len(members) or bool(self.first[members[0]])

    def span(self, table: str, group: int) -> tuple[int, int]:
        """Return where the part of a group in a table begins and ends; for "groups": its members."""
        columns = self.table(table)
        return int(columns["start"][group]), int(columns["stop"][group])

    def member_id(self, member: int) -> str:
        """Return the id of a member."""
        return self.ids.raw(member).decode(errors="replace")

    def is_merged(self, group: int) -> bool:
        """Return whether the labels of the counted image are those of the table, and not its own alone."""
        return bool(self._groups["merged"][group])

    def __len__(self) -> int:
        return len(self._groups["start"])

    def __iter__(self) -> Iterator[CopyGroup]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not -len(self) <= number < len(self):
            raise IndexError(f"group {number} of {len(self)}")
        start, stop = self.span("groups", number)
        members = self._members
        places = [
            None if split < 0 else (self._splits[split], row)
            for split, row in zip(
                members["split"][start:stop].tolist(), members["row"][start:stop].tolist(), strict=True
            )
        ]
        return CopyGroup(
            ids=tuple(self.ids.take(range(start, stop))),
            sources=tuple(self._sources[code] for code in members["source"][start:stop].tolist()),
            places=tuple(places),
            merged=self.is_merged(number),
        )


def _bounds(groups: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Return where each group begins, and where the last one ends; groups follow each other."""
    return (
        np.append(groups["start"], groups["stop"][-1:]).astype(np.int64)
        if len(groups["start"])
        else np.zeros(1, np.int64)
    )
