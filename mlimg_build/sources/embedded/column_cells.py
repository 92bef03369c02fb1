"""Take the values of a column out of a batch, however deep in lists and structs they lie, as short, clean text."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.embedded.image_schema import Column
from mlimg_build.sources.image_paths import composed_column
from mlimg_build.sources.lists.parquet import clean_rows, without_views, written
from mlimg_build.sources.lists.text_sizes import within
from mlimg_build.sources.protocol import Notes

__all__ = ["cells_of", "short_texts", "text_of_rows"]


def cells_of(batch: pa.RecordBatch, column: Column) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return the row of each value of a column, and the values; a list has any number of them, nulls among them.

    >>> batch = pa.record_batch({"o": pa.array([{"y": [3, 4]}, {"y": []}, {"y": [5]}])})
    >>> row, values = cells_of(batch, Column(("o", "y"), "", pa.int64()))
    >>> row.tolist(), values.to_pylist()
    ([0, 0, 2], [3, 4, 5])
    """
    values = batch.column(column.parts[0])
    row, values = _flat(np.arange(len(batch)), values)
    for part in column.parts[1:]:
        row, values = _flat(row, pc.struct_field(values, part))
    return row, values


def _flat(row: npt.NDArray[np.int64], values: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    while any(asked(values.type) for asked in kinds):
        row = row[pc.list_parent_indices(values).to_numpy(zero_copy_only=False)]
        values = pc.list_flatten(values)
    return row, values


def short_texts(
    values: pa.Array, most: int, what: str, numbers: npt.NDArray[np.int64], file: str, notes: Notes
) -> tuple[npt.NDArray[np.bool_], pa.Array]:
    """Return bool[n], which values are text of at most `most` bytes without fault (others are noted), and those.

    They are trimmed and in NFC; a null is "".
    """
    good = within(values, most, what, numbers, file, notes)
    if not good.all():
        values = values.cast(without_views(values.type)).filter(pa.array(good))
    text = pc.fill_null(written(values), "")
    clean = clean_rows([text], numbers[good], file, notes)
    if not clean.all():
        text = text.filter(pa.array(clean))
        good[good] = clean
    return good, composed_column(pc.utf8_trim_whitespace(text))


def text_of_rows(
    batch: pa.RecordBatch,
    column: Column,
    most: int,
    what: str,
    numbers: npt.NDArray[np.int64],
    file: str,
    notes: Notes,
) -> pa.Array:
    """Return one text a row of a column without lists, "" where it has none that is short and clean."""
    _, values = cells_of(batch, column)
    good, text = short_texts(values, most, what, numbers, file, notes)
    if good.all():
        return text
    return pc.replace_with_mask(pa.array([""] * len(good), pa.string()), pa.array(good), text)
