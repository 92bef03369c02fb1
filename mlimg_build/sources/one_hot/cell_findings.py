"""Count the cells that say nothing, and turn them into notes, or into an error that shows the line to write."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import AllBut, cell_key, listed

__all__ = ["CellFindings"]

MOST = 0.5  # the share of a column's cells that may mean nothing
OUTSIDE = 0.01  # the share of scores above 0 that may lie outside of 0 to 1
KEPT = 8  # values of a column that are counted apart
SHOWN = 4
LONGEST = 40  # characters of a value that are shown
PLAIN = re.compile(r"-?\w[\w.-]*")
GUESSES = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "x", "present", "positive", "pos"), "present"),
    **dict.fromkeys(("0", "false", "f", "no", "n", "absent", "negative", "neg"), "absent"),
    **dict.fromkeys(("-1", "u", "unknown", "uncertain", "unsure"), "unknown"),
}
"""What values mean in most tables: it is proposed, never assumed. -1 is absent where there is no 0."""
OPPOSITES = {"false": "true", "f": "t", "no": "yes", "n": "y"}


@dataclass(slots=True)
class CellFindings:
    """The number of filled cells and of those without a meaning, by column, with their commonest values.

    `add` is called with the counts of a part of the table, `finish` at its end.
    """

    names: Sequence[str]
    labels: Sequence[str] | AllBut
    scores: bool
    file: str
    filled: npt.NDArray[np.int64] = field(init=False)
    wrong: npt.NDArray[np.int64] = field(init=False)
    first: npt.NDArray[np.int64] = field(init=False)  # row of the first cell without a meaning
    values: dict[int, Counter[str]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # values that mean something
    above: int = 0  # scores above 0, and numbers outside of 0 to 1
    outside: int = 0
    lowest: float = 0.0
    highest: float = 0.0

    def __post_init__(self) -> None:
        self.filled, self.wrong, self.first = (np.zeros(len(self.names), np.int64) for _ in range(3))

    def add(self, column: int, counts: Counter[str], row: int) -> None:
        """Count the values of a column that mean nothing; `row` is the first of them."""
        if not self.wrong[column]:
            self.first[column] = row
        self.wrong[column] += counts.total()
        kept = self.values.setdefault(column, Counter())
        for text, count in counts.most_common():
            shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
            if shown in kept or len(kept) < KEPT:
                kept[shown] += count

    def count_scores(self, values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> None:
        """Count the numbers above 0 and those outside of 0 to 1; `counts` are the cells of each value."""
        outside = (values < 0) | (values > 1)
        self.above += int(counts[outside | (values > 0)].sum())
        self.outside += int(counts[outside].sum())
        if outside.any():
            self.lowest = min(self.lowest, float(values[outside].min()))
            self.highest = max(self.highest, float(values[outside].max()))

    def finish(self, source: str, notes: Notes) -> None:
        """Note each column with cells that mean nothing.

        Raises:
            SourceError: `cells-without-meaning` if they are most of a column, `scores-out-of-range` if numbers are no
                confidences.
        """
        if self.outside > OUTSIDE * self.above:
            raise self._out_of_range(source)
        most = np.flatnonzero(self.wrong > MOST * self.filled)
        if len(most):
            raise self._without_meaning(source, most.tolist())
        for i in np.flatnonzero(self.wrong).tolist():
            code = "bad-confidence" if self.scores else "cell-without-meaning"
            what = f"{self.file}:{self.first[i]}: column {self.names[i]}: {self._shown(i)}"
            line = None if self.scores else self._line(self.values[i])
            meant = f"; such values mostly mean `{line}`" if line else ""
            notes.add(code, f"{what}, of {_cells(self.filled[i])}{meant}", int(self.wrong[i]))

    def _shown(self, column: int) -> str:
        most = self.values[column].most_common(SHOWN)
        rest = int(self.wrong[column]) - sum(count for _, count in most)
        parts = [f"{text!r} ({_cells(count)})" for text, count in most]
        return ", ".join([*parts, *([f"others ({_cells(rest)})"] if rest else [])])

    def _out_of_range(self, source: str) -> SourceError:
        message = (
            f"source {source}: {self.outside:,} of the scores in {self.file} lie outside of 0 to 1, between "
            f"{self.lowest:.4g} and {self.highest:.4g}"
        )
        hint = "logits are no confidences: write their sigmoid, 1 / (1 + exp(-x))"
        if self.lowest >= 0:
            percent = self.highest <= 100
            hint = "percent are divided by 100" if percent else "divide them by the most that they can be"
        return SourceError(Problem("scores-out-of-range", message, hint=hint))

    def _without_meaning(self, source: str, columns: Sequence[int]) -> SourceError:
        first = columns[0]
        message = (
            f"source {source}: most cells of {self._named(columns)} have values that mean nothing: {self._shown(first)}"
            f"{f' in {self.names[first]}' if len(columns) > 1 else ''}, of {_cells(self.filled[first])}"
        )
        return SourceError(Problem("cells-without-meaning", message, hint=self._hint(source, columns)))

    def _named(self, columns: Sequence[int]) -> str:
        names = [self.names[i] for i in columns[:SHOWN]]
        more = len(columns) - len(names)
        shown = f"{', '.join(names)} and {more:,} more" if more else listed(names)
        return f"{'column' if len(columns) == 1 else 'the columns'} {shown}"

    def _hint(self, source: str, columns: Sequence[int]) -> str:
        """Return the lines of a spec that give the values a meaning, or leave out columns that are no categories."""
        known = {i: self._line(self.values[i]) for i in columns}
        strange = [i for i, line in known.items() if line is None]
        said = (
            [Counter[str]()] if len(strange) == len(columns) else [self.values[i] for i in known if known[i]]
        )
        line = None if len(strange) == len(columns) else self._line(sum(said, Counter[str]()))
        hints = [f"say in source {source} what they mean, such as `{line}`"] if line else []
        if strange and isinstance(self.labels, AllBut):
            names = [*self.labels.all_but, *(self.names[i] for i in strange)]
            rest = ", …" if len(names) > KEPT else ""
            names = [_quoted(name) for name in names[:KEPT]]
            hints.append(f"leave out what is no category: `labels: {{all_but: [{', '.join(names)}{rest}]}}`")
        elif strange:
            hints.append(
                "say what every value means, such as `values: {1: present, 0: absent, -1: unknown}`, "
                "or remove the column"
            )
        return "; ".join(hints)

    def _line(self, values: Iterable[str]) -> str | None:
        """Return the line of a spec that probably gives these values and those seen a meaning, None if none does."""
        texts = [*values]
        if not self.scores and texts and all(_is_share(text) for text in texts):
            return "values: scores"
        keys = {cell_key(text): text for text in [*sorted(self.seen), *texts]}
        if any(cell_key(text) not in GUESSES for text in texts):
            return None
        meanings = {text: GUESSES[key] for key, text in keys.items() if key in GUESSES}
        if "0" not in keys and not {"false", "f", "no", "n"} & keys.keys():
            meanings = {text: "absent" if cell_key(text) == "-1" else word for text, word in meanings.items()}
        if "present" not in meanings.values():  # the spec asks for one
            meanings[next((OPPOSITES[key] for key in keys if key in OPPOSITES), "1")] = "present"
        order = ("present", "absent", "unknown")
        pairs = sorted(meanings.items(), key=lambda pair: (order.index(pair[1]), pair[0]))
        return f"values: {{{', '.join(f'{_quoted(text)}: {word}' for text, word in pairs)}}}"


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count:,} cells"


def _is_share(text: str) -> bool:
    try:
        return 0 < float(text) < 1
    except ValueError:
        return False


def _quoted(text: str) -> str:
    """Return a key or an entry of a list as YAML reads it back."""
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
