"""The values that a column may have: codes of tables, indices of categories, mappings and members, shares, bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import Column

__all__ = ["SizeOf", "table_flaw", "value_flaw"]

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


def value_flaw(name: str, values: NDArray[Any], size_of: SizeOf) -> str | None:
    """Return what is wrong with the values of column `name`, such as "labels/rule"; None if nothing is.

    >>> import numpy as np
    >>> value_flaw("labels/state", np.array([1, 2]), lambda table: None)
    'holds 2, not -1 to 1'
    >>> value_flaw("labels/rule", np.array([1, 2]), {"rules": 2}.get)
    'holds 2, and the dataset has 2 rules'
    """
    if not values.size or (name not in INDICES and name not in RANGES):
        return None
    lowest, highest = values.min(), values.max()
    if name in RANGES:
        low, high = RANGES[name]
        if not (low <= lowest and highest <= high):  # NaN is neither
            return f"holds {lowest if not low <= lowest else highest}, not {low} to {high:,}"
        return (
            "holds 0, which is no state of a label" if name == "labels/state" and not values.all() else None
        )
    low, table = INDICES[name]
    size = size_of(table)
    if lowest < low or (size is not None and highest >= size):
        found = lowest if lowest < low else highest
        return f"holds {found}, and the dataset has {size or 0:,} {table}"
    return None


def table_flaw(
    name: str, schema: Iterable[Column], arrays: Mapping[str, NDArray[Any]], size_of: SizeOf
) -> str | None:
    """Return what is wrong with the lengths of a table's columns, their texts or their values; None if nothing is."""
    lengths: dict[str | None, int] = {}
    for column in schema:
        values, where = arrays[column.name], f"column {name}/{column.name}"
        axis = column.axis
        if not column.text and lengths.setdefault(axis, len(values)) != len(values):
            return f"{where} has {len(values):,} values, and others {lengths[axis]:,}"
        if column.stop_of is not None and (flaw := _stops_flaw(values, len(arrays[column.stop_of]))):
            return f"{where} {flaw}"
        if flaw := value_flaw(f"{name}/{column.name}", values, size_of):
            return f"{where} {flaw}"
    if "parent_start" in arrays:
        start = arrays["parent_start"]
        if len(start) != len(arrays["positives"]) + 1 or start[0]:
            return f"column {name}/parent_start does not give the parents of each category"
        if flaw := _stops_flaw(start, len(arrays["parent_index"])):
            return f"column {name}/parent_start {flaw}"
    return None


def _stops_flaw(stops: NDArray[Any], whole: int) -> str | None:
    last = int(stops[-1]) if len(stops) else 0
    if last != whole or (stops[1:] < stops[:-1]).any() or (len(stops) and stops[0] < 0):
        return f"ends at {last:,}, or goes back, where there are {whole:,} values"
    return None
