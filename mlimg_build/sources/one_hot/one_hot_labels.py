"""The labels in columns of categories, read from all cells of a batch at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.sources.lists.confidences import Speakers, stated
from mlimg_build.sources.one_hot.cell_findings import CellFindings
from mlimg_build.sources.one_hot.cell_values import CellKind, reader_of
from mlimg_build.sources.one_hot.label_columns import category_of
from mlimg_build.sources.protocol import LABELS, Notes, record
from mlimg_build.spec import AllBut, CellMeaning

__all__ = ["OneHotLabels"]

CELLS = 1 << 20  # cells that are read at a time
SEEN = 100  # values with a meaning that are kept for the proposal of a line


class OneHotLabels:
    """Turns the cells of columns of categories into labels, and counts what says nothing."""

    def __init__(
        self,
        names: Sequence[str],
        labels: Sequence[str] | AllBut,
        values: dict[str, CellMeaning] | Literal["scores"] | None,
        file: str,
    ) -> None:
        self.names = names
        self.categories = pa.array([category_of(name) for name in names], pa.string())
        self._read = reader_of(values)
        self._scores = values == "scores"
        self._findings = CellFindings(names, labels, self._scores, file)
        self._present = np.zeros(len(names), np.int64)

    @property
    def rows(self) -> int:
        """The rows whose cells are read at a time."""
        return max(CELLS // len(self.names), 1)

    def parts(self, rows: int) -> Iterator[slice]:
        """Yield the slices of so many rows that are read at a time."""
        return (slice(start, min(start + self.rows, rows)) for start in range(0, rows, self.rows))

    def labels(
        self,
        batch: pa.RecordBatch,
        numbers: npt.NDArray[np.int64],
        images: pa.Array,
        said_by: pa.Array | None,
        speakers: Speakers,
    ) -> pa.RecordBatch:
        """Return the labels of a batch of rows; `images` are the names of their images, `said_by` their speakers."""
        rows = len(batch)
        cells = pa.concat_arrays([batch.column(name) for name in self.names]).dictionary_encode()
        code = cells.indices.to_numpy().reshape(len(self.names), rows)
        values, kinds = self._read(cells.dictionary)
        self._count(cells.dictionary, values, kinds, code, numbers)
        row, column = np.nonzero((kinds == CellKind.SAID)[code.T])
        weighed = values[code[column, row]]
        speaker = None if said_by is None else said_by.take(pa.array(row))
        good = speakers.weigh(weighed, speaker, numbers[row])
        if not good.all():
            row, column, weighed = row[good], column[good], weighed[good]
        self._present += np.bincount(column[weighed > 0], minlength=len(self.names))
        columns = [
            pa.DictionaryArray.from_arrays(pa.array(row, pa.int32()), images),
            pa.DictionaryArray.from_arrays(pa.array(column, pa.int32()), self.categories),
            *stated(weighed),
            pa.array(record(0, numbers[row]), pa.int64()),
        ]
        return pa.record_batch(columns, names=LABELS.names)

    def finish(self, source: str, notes: Notes) -> None:
        """Note what the cells of the whole table do not say. Raises `SourceError`: see `CellFindings.finish`."""
        self._findings.finish(source, notes)
        for i in np.flatnonzero(self._present == 0).tolist():
            notes.add("category-without-images", self.names[i])

    def _count(
        self,
        texts: pa.Array,
        values: npt.NDArray[np.float64],
        kinds: npt.NDArray[np.int8],
        code: npt.NDArray[np.int32],
        numbers: npt.NDArray[np.int64],
    ) -> None:
        found = self._findings
        found.filled += np.count_nonzero((kinds != CellKind.EMPTY)[code], axis=1)
        if self._scores:
            found.count_scores(values, np.bincount(code.ravel(), minlength=len(values)))
        else:
            for i in np.flatnonzero((kinds == CellKind.SAID) | (kinds == CellKind.UNKNOWN))[:SEEN]:
                found.seen.add(texts[int(i)].as_py().strip())
        wrong = kinds == CellKind.WRONG
        if not wrong.any():
            return
        at = wrong[code]
        for column in np.flatnonzero(at.any(axis=1)).tolist():
            some = np.flatnonzero(at[column])
            found_codes, counts = np.unique(code[column, some], return_counts=True)
            told = Counter[str]()
            for text, count in zip(
                texts.take(pa.array(found_codes)).to_pylist(), counts.tolist(), strict=True
            ):
                told[text.strip()] += count
            found.add(column, told, int(numbers[some[0]]))
