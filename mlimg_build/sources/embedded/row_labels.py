"""The labels of rows: numbers of classes, with or without names, or texts; one a row or a list."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.embedded.column_cells import cells_of, short_texts
from mlimg_build.sources.embedded.image_schema import ImageSchema
from mlimg_build.sources.lists.confidences import stated
from mlimg_build.sources.protocol import LABELS, Notes, record
from mlimg_build.text_limits import NAME

__all__ = ["RowLabels"]

UNKNOWN = -1  # the number that Hugging Face gives to an image of an unknown class


class RowLabels:
    """Turns the labels of one file, the `number`-th, into statements; with `by_number` numbers stay numbers."""

    def __init__(self, number: int, file: str, schema: ImageSchema, by_number: bool, notes: Notes) -> None:
        self._number, self._file, self._schema, self._notes = number, file, schema, notes
        self._names = None if by_number else schema.names
        self._unlabelled = [0, 0]  # how many rows, and the first of them

    def of(
        self,
        batch: pa.RecordBatch,
        numbers: npt.NDArray[np.int64],
        images: pa.Array,
        kept: npt.NDArray[np.bool_],
    ) -> pa.RecordBatch:
        """Return the statements about the rows of a batch that are `kept` (bool[rows]); `images` are their names."""
        row, values = cells_of(batch, self._schema.labels)
        asked = kept[row]
        if not asked.all():
            row, values = row[asked], values.filter(pa.array(asked))
        known = pc.is_valid(values).to_numpy(zero_copy_only=False)
        row, values = row[known], values.filter(pa.array(known))
        labels = self._of_numbers if self._schema.kind == "number" else self._of_texts
        good, category, unknown = labels(values, numbers[row])
        self._count(kept, row[good | unknown], numbers)
        row = row[good]
        turn = (np.cumsum(kept) - 1)[row]
        names = images.filter(pa.array(kept))
        return pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(pa.array(turn, pa.int32()), names),
                category,
                *stated(np.ones(len(row))),
                pa.array(record(self._number, numbers[row]), pa.int64()),
            ],
            names=LABELS.names,
        )

    def finish(self) -> None:
        """Note how many rows have no label."""
        count, first = self._unlabelled
        if count:
            self._notes.add("row-without-label", f"{self._file}:{first}", count)

    def _count(
        self, kept: npt.NDArray[np.bool_], labelled: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> None:
        without = kept.copy()
        without[labelled] = False
        if without.any():
            self._unlabelled[1] = self._unlabelled[1] or int(numbers[without][0])
            self._unlabelled[0] += int(np.count_nonzero(without))

    def _of_numbers(
        self, values: pa.Array, numbers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], pa.Array, npt.NDArray[np.bool_]]:
        """Return bool[n], which numbers are of categories, these categories, and bool[n], which are "unknown"."""
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        number = pc.cast(values, pa.int64(), safe=False).to_numpy(zero_copy_only=False)
        unknown = number == UNKNOWN
        if unknown.any():
            count = int(np.count_nonzero(unknown))
            self._notes.add("row-without-class", f"{self._file}:{numbers[unknown][0]}", count)
        if self._names is None:
            good = ~unknown
            return good, pa.array(number[good]).cast(pa.string()), unknown
        names = [name.strip() for name in self._names]
        inside = (number >= 0) & (number < len(names))
        for i in np.flatnonzero(~inside & ~unknown):
            told = f"{self._file}:{numbers[i]}: {number[i]} is none of the {len(names):,} labels"
            self._notes.add("bad-label", told)
        named = np.array([name != "" for name in names], bool)
        good = inside.copy()
        good[inside] = named[number[inside]]
        for i in np.flatnonzero(inside & ~good):
            self._notes.add("bad-label", f"{self._file}:{numbers[i]}: the label {number[i]} has no name")
        return (
            good,
            pa.DictionaryArray.from_arrays(pa.array(number[good], pa.int32()), pa.array(names, pa.string())),
            unknown,
        )

    def _of_texts(
        self, values: pa.Array, numbers: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], pa.Array, npt.NDArray[np.bool_]]:
        good, text = short_texts(values, NAME, "a label", numbers, self._file, self._notes)
        filled = pc.not_equal(text, "").to_numpy(zero_copy_only=False)
        good[good] = filled
        return good, text.filter(pa.array(filled)), np.zeros(len(good), bool)
