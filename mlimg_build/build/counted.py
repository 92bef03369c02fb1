"""How many labels each rule made of each category, added up over shards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mlimg_build.labels import PRESENT, RULES, LabelTable

if TYPE_CHECKING:
    from mlimg_build.build.planning import Plan
    from mlimg_build.build.store import Store

__all__ = ["by_rule", "save_counts"]

NAME = "counts.npy"


def save_counts(folder: Path, table: LabelTable, categories: int) -> None:
    """Writes int64[4, m]: category, rule, state (0 present, 1 absent) and labels, of all that occur."""
    code = table.category * np.int64(2 * len(RULES))
    code += table.rule * np.uint8(2) + (table.state != PRESENT)
    count = np.bincount(code, minlength=categories * len(RULES) * 2)
    used = np.flatnonzero(count)
    columns = [used // (2 * len(RULES)), used // 2 % len(RULES), used % 2, count[used]]
    np.save(folder / NAME, np.stack(columns).astype("<i8"))


def by_rule(plan: Plan, store: Store) -> npt.NDArray[np.int64]:
    """int64[categories, rules, 2]: labels present and absent, over the shards whose labels are made."""
    total = np.zeros((len(plan.facts.vocabulary), len(RULES), 2), np.int64)
    for work in plan.work:
        try:
            category, rule, state, count = np.load(store.path(work.labels) / NAME, allow_pickle=False)
        except FileNotFoundError:
            continue
        total[category, rule, state] += count
    return total
