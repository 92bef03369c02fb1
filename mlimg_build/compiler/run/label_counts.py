"""Count labels by category, rule and state, summed over shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlimg_build.errors import DatasetError, Problem
from mlimg_build.labels import PRESENT, RULES, LabelTable
from mlimg_build.regular_files import read_regular

if TYPE_CHECKING:
    from mlimg_build.compiler.engine.cache import Store
    from mlimg_build.compiler.plan.shard_work import ShardWork

__all__ = ["by_rule", "counts_fit", "save_counts"]

NAME = "counts.npy"
AGAIN = "look at the disk and the mount, and run the same command again"


def save_counts(folder: Path, table: LabelTable, categories: int) -> None:
    """Write int64[4, m]: category, rule, state (0 present, 1 absent) and count of every combination that occurs."""
    np.save(folder / NAME, _counted(table.category, table.rule, table.state, categories))


def counts_fit(folder: Path, labels: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Return whether the counts in a folder match its labels, given as the columns `labels/category` and so on."""
    category, rule, state = (labels[f"labels/{name}"] for name in ("category", "rule", "state"))
    try:
        saved = _saved(folder)
    except (OSError, ValueError):
        return False
    return np.array_equal(saved, _counted(category, rule, state, 0))


def _saved(folder: Path) -> npt.NDArray[np.int64]:
    """Return the counts in a folder. Raises `OSError` or `ValueError` if they cannot be read."""
    found: npt.NDArray[np.int64] = np.load(BytesIO(read_regular(folder / NAME)), allow_pickle=False)
    return found


def _counted(
    category: npt.NDArray[Any], rule: npt.NDArray[Any], state: npt.NDArray[Any], categories: int
) -> npt.NDArray[np.int64]:
    code = category * np.int64(2 * len(RULES))
    code += rule * np.uint8(2) + (state != PRESENT)
    count = np.bincount(code, minlength=categories * len(RULES) * 2)
    used = np.flatnonzero(count)
    return np.stack([used // (2 * len(RULES)), used // 2 % len(RULES), used % 2, count[used]]).astype("<i8")


def by_rule(
    work: Sequence[ShardWork], store: Store, categories: int, *, whole: bool = False
) -> npt.NDArray[np.int64]:
    """Return int64[categories, rules, 2]: labels present and absent, summed over the shards whose labels are built.

    Raises:
        DatasetError: `artefact-damaged` if the counts of a shard cannot be read, with `whole` alone.
    """
    total = np.zeros((categories, len(RULES), 2), np.int64)
    for one in work:
        folder = store.path(one.labels)
        try:
            category, rule, state, count = _saved(folder)
        except (OSError, ValueError) as error:  # not built, or damaged and so built again before it is used
            if whole:
                message = f"the counts of the labels in {folder} cannot be read: {error}"
                raise DatasetError(Problem("artefact-damaged", message, hint=AGAIN)) from error
            continue
        total[category, rule, state] += count
    return total
