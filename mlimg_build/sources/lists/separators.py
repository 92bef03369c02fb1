"""Notice that the cells of labels are separated by another text than the one that the spec names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.protocol import Notes

__all__ = ["SeparatorCheck"]

OTHERS = (";", "|", ",", "\t", "&", "+", "/")
MOST = 0.5  # the share of filled cells in which another separator occurs


@dataclass(slots=True)
class SeparatorCheck:
    """Counts the cells with the separator and with others; `finish` notes another one that stands in most of them."""

    separator: str
    file: str
    notes: Notes
    cells: int = 0
    occurs: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def look(self, column: pa.Array, numbers: npt.NDArray[np.int64]) -> None:
        """Count a column of cells; lists need no separator."""
        if self.occurs or pa.types.is_list(column.type):
            return
        self.occurs = bool(pc.any(pc.match_substring(column, self.separator)).as_py())
        self.cells += int(pc.sum(pc.not_equal(column, "")).as_py() or 0)
        for other in OTHERS:
            if other == self.separator:
                continue
            between = pc.match_substring(pc.utf8_trim(column, f" {other}"), other)
            if other == "/":  # /m/0bt9lr is one id
                between = pc.and_not(between, pc.starts_with(column, "/"))
            found = pc.index(between, True).as_py()
            if found >= 0:
                self.counts[other] += int(pc.sum(between).as_py())
                self.examples.setdefault(other, f"{self.file}:{numbers[found]}: {column[found].as_py()!r}")

    def finish(self) -> None:
        """Note the commonest other separator if the cells have none of the spec's, and most of them have it."""
        other, count = max(self.counts.items(), key=lambda one: one[1], default=("", 0))
        if not self.occurs and count > MOST * self.cells:
            self.notes.add(
                "other-separator", f"{other}: {self.examples[other]}, of {self.cells:,} cells", count
            )
