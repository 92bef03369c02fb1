"""A Parquet table read as a stream of text, as a CSV is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.lines import require_file, unreadable
from mlimg_build.sources.lists import missing_columns

__all__ = ["read_parquet"]


def read_parquet(
    path: Path, what: str, columns: Sequence[str], lists: Sequence[str | None]
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yields the named columns as text, with the number of each row from 1; those of `lists` may hold lists.

    Numbers are written out and an empty cell is "". Raises `SourceError` for a file that is missing, empty or
    not Parquet, without one of the columns, or with a column that cannot be text.
    """
    require_file(path, what)
    try:
        with pq.ParquetFile(path) as file:
            error = missing_columns(path, what, file.schema_arrow.names, columns)
            if error is not None:
                raise error
            if file.metadata.num_rows == 0:
                raise SourceError(
                    Problem("list-empty", f"{what} has no row: {path}", hint="get the file again")
                )
            types = {name: _text_type(file.schema_arrow.field(name).type, name in lists) for name in columns}
            wrong = [name for name, kind in types.items() if kind is None]
            if wrong:
                kind = file.schema_arrow.field(wrong[0]).type
                raise unreadable(
                    path, what, f"column {wrong[0]} is of type {kind}", "write it as text or numbers"
                )
            first = 1
            for batch in file.iter_batches(columns=list(columns)):
                numbers = np.arange(first, first + len(batch))
                first += len(batch)
                cells = [_as_text(batch.column(name), types[name]) for name in columns]
                yield pa.record_batch(cells, names=list(columns)), numbers
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, what, f"not a Parquet file in order: {error}", "write it again") from error


def _text_type(found: pa.DataType, list_allowed: bool) -> pa.DataType | None:
    """The type that a column is read as: text, or lists of text; None where it can be neither."""
    if pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found):
        inner = _text_type(found.value_type, list_allowed=False)
        return pa.list_(pa.string()) if inner is not None and list_allowed else None
    if pa.types.is_dictionary(found):
        return _text_type(found.value_type, list_allowed=False)
    return None if pa.types.is_nested(found) else pa.string()


def _as_text(column: pa.Array, kind: pa.DataType) -> pa.Array:
    text = column.cast(kind)
    return text if pa.types.is_list(kind) else pc.fill_null(text, "")
