"""Parse the confidences of sources and tell statements of people, which are certain, from those of machines."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import PEOPLE

__all__ = ["Speakers", "confidences", "stated"]

NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
WHOLE = ["0", "1", "0.0", "1.0"]  # as most lists write the confidences of people
NONZERO = re.compile(r"[+-]?[0.]*[1-9]")
BELOW_ONE = math.nextafter(1, 0)
MACHINES = frozenset({"machine"})
KNOWN = MACHINES.union(PEOPLE)
SHOWN = 3  # most speakers listed in a note
MOST = 1000  # most unknown values of a column that are counted separately


def confidences(
    column: pa.Array,
    numbers: npt.NDArray[np.int64],
    file: str,
    notes: Notes,
    ignored: float | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the confidences as float64[n], and a bool[n], False where the text is no number in [0, 1] (noted).

    A value is 0 or 1 only if the text is exactly that: a number that float64 would round to either becomes the adjacent
    float64. The value `ignored` is accepted as well.
    """
    stripped = pc.utf8_trim_whitespace(column)
    numeric = pc.if_else(pc.match_substring_regex(stripped, NUMBER), stripped, "nan")
    values = numeric.cast(pa.float64()).to_numpy(zero_copy_only=False) + 0.0  # -0 becomes 0
    edges = [0.0, 1.0] if ignored is None else [0.0, 1.0, ignored]
    _unround(values, stripped, np.isin(values, edges))
    good = (values >= 0) & (values <= 1)
    if ignored is not None:
        good |= values == ignored
    for i in np.flatnonzero(~good):
        notes.add("bad-confidence", f"{file}:{numbers[i]}: {column[int(i)].as_py()!r}")
    return values, good


def stated(values: npt.NDArray[np.float64]) -> tuple[pa.Array, pa.Array]:
    """Return the columns `state` and `confidence` of labels; a confidence of 0 in `values` is an absence.

    >>> [column.to_pylist() for column in stated(np.array([1.0, 0.25, 0.0]))]
    [[1, 1, -1], [1.0, 0.25, 1.0]]
    """
    absent = values == 0
    return pa.array(np.where(absent, np.int8(ABSENT), np.int8(PRESENT))), pa.array(
        np.where(absent, 1.0, values)
    )


def _unround(values: npt.NDArray[np.float64], texts: pa.Array, at_edge: npt.NDArray[np.bool_]) -> None:
    """Replace, in place, each value that was only rounded to an edge by the adjacent float64."""
    if not at_edge.any():
        return
    asked = np.flatnonzero(
        at_edge & pc.invert(pc.is_in(texts, pa.array(WHOLE))).to_numpy(zero_copy_only=False)
    )
    coded = texts.take(pa.array(asked)).dictionary_encode()
    first = np.unique(coded.indices.to_numpy(), return_index=True)[1]
    exact = [
        _unrounded(text, float(values[asked[i]]))
        for text, i in zip(coded.dictionary.to_pylist(), first, strict=True)
    ]
    values[asked] = np.array(exact, np.float64)[coded.indices.to_numpy()]


def _unrounded(text: str, value: float) -> float:
    """Return `value` if the text is exactly that number, else the adjacent float64 towards the exact number.

    >>> _unrounded("10e-1", 1.0), _unrounded("0.99999999999999999999", 1.0), _unrounded("-1e-400", 0.0)
    (1.0, 0.9999999999999999, -5e-324)
    """
    if value == 0:  # the exponent may exceed the range of Decimal
        if NONZERO.match(text) is None:
            return 0.0
        return math.nextafter(0, -1 if text.startswith("-") else 1)
    exact = Decimal(text)
    if exact == Decimal(value):
        return value
    return math.nextafter(value, math.inf if exact > Decimal(value) else -math.inf)


@dataclass(slots=True)
class Speakers:
    """Tells the statements of people from those of machines in one list, by the column that names the speaker.

    `people` are the values of that column that stand for people, ignoring case; a list without the column is all by
    people unless `people` is empty. `noted`, called at the end of the list, notes the other values.
    """

    people: Sequence[str]
    file: str
    notes: Notes
    unknown: dict[str, tuple[int, int]] = field(default_factory=dict)  # value → (rows, first row)
    heard: bool = False  # whether any row is by people
    absent: str = ""  # the speaker column, if it is missing although the spec names people

    def weigh(
        self,
        values: npt.NDArray[np.float64],
        said_by: pa.Array | None,
        numbers: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Lower a machine's 1 to just below 1, in place; return bool[n], False for a machine's 0 (noted)."""
        if said_by is None and self.people:
            return np.ones(len(values), bool)
        machine = np.ones(len(values), bool) if said_by is None else self._machine(said_by, numbers)
        values[machine & (values == 1)] = BELOW_ONE
        nothing = machine & (values == 0)
        if nothing.any():
            self.notes.add(
                "machine-absence", f"{self.file}:{numbers[nothing][0]}", int(np.count_nonzero(nothing))
            )
        said: npt.NDArray[np.bool_] = ~nothing
        return said

    def lacking(self, column: str) -> None:
        """Record that the list lacks the speaker column although the spec names people."""
        self.absent = column

    def _machine(self, said_by: pa.Array, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        coded = said_by.dictionary_encode()
        given = [value.strip() for value in coded.dictionary.to_pylist()]
        people = {value.casefold() for value in self.people}
        machine = np.array([value.casefold() not in people for value in given], bool)
        self.heard |= not machine.all()
        codes = coded.indices.to_numpy()
        known = people | MACHINES if people else KNOWN
        for code, at, rows in zip(*np.unique(codes, return_index=True, return_counts=True), strict=True):
            value = given[code]
            if value.casefold() not in known:
                told = value if value in self.unknown or len(self.unknown) < MOST else "and others"
                count, first = self.unknown.get(told, (0, int(numbers[at])))
                self.unknown[told] = (count + int(rows), first)
        found: npt.NDArray[np.bool_] = machine[codes]
        return found

    def noted(self) -> None:
        """Note a missing speaker column, the absence of all `people`, and each unknown speaker with its row count."""
        if self.absent:
            self.notes.add(
                "no-speakers", f"{self.file} has no column {self.absent}, so people said all of it"
            )
        if self.unknown and self.people and not self.heard:
            said = sorted(self.unknown.items(), key=lambda item: -item[1][0])[:SHOWN]
            there = ", ".join(f"{value!r} ({rows:,} rows)" for value, (rows, _) in said)
            wanted = ", ".join(self.people)
            self.notes.add("no-such-people", f"{self.file} has no row by one of {wanted}, but {there}")
        for value, (rows, first) in sorted(self.unknown.items()):
            self.notes.add("unknown-speaker", f"{self.file}:{first}: {value!r}, taken for a machine", rows)
