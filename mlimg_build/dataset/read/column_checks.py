"""The values that a column may have: codes of tables, indices of categories, mappings and members, shares, bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import Column
from mlimg_build.dataset.read.array_files import damaged

__all__ = ["SizeOf", "check_groups", "check_spans", "check_table", "check_values"]

SizeOf = Callable[[str], int | None]
"""The number of "categories", "mappings", "members", "splits", or of the names in a table; None if it is unknown."""

INDICES: dict[str, tuple[int, str]] = {
    "images/source": (0, "sources"),
    "images/status": (0, "statuses"),
    "images/licence": (0, "licences"),
    "labels/category": (0, "categories"),
    "labels/via": (-1, "categories"),
    "labels/rule": (0, "rules"),
    "labels/source": (0, "sources"),
    "labels/mapping": (-1, "mappings"),
    "labels/member": (0, "members"),
    "contradictions/absent": (0, "categories"),
    "contradictions/present": (0, "categories"),
    "contradictions/absent_mapping": (-1, "mappings"),
    "contradictions/present_mapping": (-1, "mappings"),
    "contradictions/absent_member": (0, "members"),
    "contradictions/present_member": (0, "members"),
    "categories/parent_index": (0, "categories"),
    "mappings/source": (0, "sources"),
    "mappings/category": (-1, "categories"),
    "mappings/method": (0, "methods"),
    "mappings/fate": (0, "fates"),
    "mappings/relation": (0, "relations"),
    "pairs/antecedent": (0, "categories"),
    "pairs/consequent": (0, "categories"),
    "members/source": (0, "sources"),
    "members/split": (-1, "splits"),
}
"""The lowest index that a column may hold, and what it is an index of."""

RANGES: dict[str, tuple[float, float]] = {
    "labels/state": (-1, 1),
    "labels/confidence": (0, 1),
    "labels/record": (0, 2**63 - 1),
    "contradictions/confidence": (0, 1),
    "contradictions/kept": (-1, 1),
    "contradictions/absent_record": (0, 2**63 - 1),
    "contradictions/present_record": (0, 2**63 - 1),
    "categories/positives": (0, 2**63 - 1),
    "categories/negatives": (0, 2**63 - 1),
    "mappings/score": (0, 1),
    "mappings/narrower": (0, 1),
    "pairs/together": (0, 2**63 - 1),
    "pairs/images": (1, 2**63 - 1),
    "pairs/bound": (0, 1),
    "groups/merged": (0, 1),
    "members/row": (-1, 2**63 - 1),
    "shards/images": (1, 2**63 - 1),
    "shards/bytes": (0, 2**63 - 1),
}
"""The lowest and the highest value of a column."""


def check_values(name: str, values: NDArray[Any], size_of: SizeOf, where: str) -> None:
    """Check the values of column `name`, such as "labels/rule"; `where` names it in the message.

    Raises:
        DamagedDataset: `column-unreadable` if one is out of its range.
    """
    if not values.size or (name not in INDICES and name not in RANGES):
        return
    lowest, highest = values.min(), values.max()
    if name in RANGES:
        low, high = RANGES[name]
        if not (low <= lowest and highest <= high):  # NaN is neither
            raise damaged(f"{where} holds {lowest if not low <= lowest else highest}, not {low} to {high:,}")
        if name == "labels/state" and not values.all():
            raise damaged(f"{where} holds 0, which is no state of a label")
        return
    low, table = INDICES[name]
    size = size_of(table)
    if lowest < low or (size is not None and highest >= size):
        found = lowest if lowest < low else highest
        raise damaged(f"{where} holds {found}, and the dataset has {size or 0:,} {table}")


def check_spans(start: NDArray[Any], stop: NDArray[Any], where: str) -> None:
    """Check that the parts of a row follow each other, from its beginning on.

    Raises:
        DamagedDataset: `column-unreadable`.
    """
    if len(start) != len(stop) or start[:1].any() or (stop < start).any() or (start[1:] != stop[:-1]).any():
        raise damaged(f"{where} are not those of parts that follow each other")


def check_groups(start: NDArray[Any], stop: NDArray[Any], whole: int, where: str) -> None:
    """Check that parts divide `whole` values, one after the other.

    Raises:
        DamagedDataset: `column-unreadable`.
    """
    edges = np.concatenate([np.zeros(1, stop.dtype), stop])
    if len(start) != len(stop) or (start != edges[:-1]).any() or (start > stop).any() or edges[-1] != whole:
        raise damaged(f"{where} do not divide its {whole:,} values")


def check_table(
    name: str, schema: Iterable[Column], arrays: Mapping[str, NDArray[Any]], size_of: SizeOf
) -> None:
    """Check that the columns of table `name` have lengths that go together, and values within their ranges.

    Raises:
        DamagedDataset: `column-unreadable`.
    """
    lengths: dict[str | None, int] = {}
    for column in schema:
        values = arrays[column.name]
        axis = column.axis
        if not column.text and lengths.setdefault(axis, len(values)) != len(values):
            raise damaged(
                f"column {name}/{column.name} has {len(values):,} values, and others {lengths[axis]:,}"
            )
        if column.stop_of is not None:
            _check_stops(values, len(arrays[column.stop_of]), f"{name}/{column.name}")
        check_values(f"{name}/{column.name}", values, size_of, f"column {name}/{column.name}")
    if "parent_start" in arrays:
        _check_stops(arrays["parent_start"], len(arrays["parent_index"]), f"{name}/parent_start")
        if len(arrays["parent_start"]) != len(arrays["positives"]) + 1 or arrays["parent_start"][0]:
            raise damaged(f"column {name}/parent_start does not give the parents of each category")


def _check_stops(stops: NDArray[Any], whole: int, name: str) -> None:
    last = int(stops[-1]) if len(stops) else 0
    if last != whole or (stops[1:] < stops[:-1]).any() or (len(stops) and stops[0] < 0):
        raise damaged(f"column {name} ends at {last:,}, or goes back, where there are {whole:,} values")
