"""Check the columns of a dataset when they are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import Column
from mlimg_build.dataset.format.value_ranges import SizeOf, table_flaw, value_flaw
from mlimg_build.dataset.read.array_files import damaged

__all__ = ["check_groups", "check_spans", "check_table", "check_values"]


def check_values(name: str, values: NDArray[Any], size_of: SizeOf, where: str) -> None:
    """Check the values of column `name`, such as "labels/rule"; `where` names it in the message.

    Raises:
        DamagedDataset: `column-unreadable` if one is out of its range.
    """
    if flaw := value_flaw(name, values, size_of):
        raise damaged(f"{where} {flaw}")


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
    if flaw := table_flaw(name, schema, arrays, size_of):
        raise damaged(flaw)
