"""Read a Parquet table as a stream of text, like a CSV: no value is unpacked before its size is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.lists.delimited import missing_columns
from mlimg_build.sources.lists.line_blocks import is_utf8, require_file, unreadable
from mlimg_build.sources.lists.parquet_batches import TooLargeError, bounded_batches
from mlimg_build.sources.lists.text_sizes import pieces, text_sizes, within
from mlimg_build.sources.protocol import Notes
from mlimg_build.text_limits import CELL

__all__ = ["clean_rows", "parquet_header", "read_parquet", "without_views", "written"]

PIECE = 32 << 20  # bytes of text that are written out at a time


def parquet_header(path: Path, what: str) -> list[str]:
    """Return the names of the columns of a Parquet file. Raises `SourceError` if it cannot be read."""
    require_file(path, what, parquet=True)
    try:
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, MemoryError, ValueError) as error:
        raise unreadable(path, what, f"not a Parquet file in order: {error}", "write it again") from error


def read_parquet(
    path: Path,
    what: str,
    notes: Notes,
    columns: Sequence[str],
    lists: Sequence[str | None],
    most: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yield the named columns as text, with the number of each row from 1; columns of `lists` may contain lists.

    Numbers are written in the shortest form that identifies them (a float32 0.9 is "0.9"), and an empty cell is "".
    A row with a zero byte, invalid UTF-8 or more than `CELL` bytes (than `most` of a column) in one of its cells is
    noted and left out. Raises `SourceError` if the file is missing, empty or not Parquet, lacks one of the columns, has
    a column that cannot be text, or pages that take more memory than is given to them (`bounded_batches`).
    """
    require_file(path, what, parquet=True)
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        error = missing_columns(path, what, schema.names, columns)
        if error is not None:
            raise error
        if rows == 0:
            raise SourceError(Problem("list-empty", f"{what} has no row: {path}", hint="get the file again"))
        types = {name: _text_type(schema.field(name).type, name in lists) for name in columns}
        wrong = [name for name, kind in types.items() if kind is None]
        if wrong:
            kind = schema.field(wrong[0]).type
            raise unreadable(
                path, what, f"column {wrong[0]} is of type {kind}", "write it as text or numbers"
            )
        limits = {name: most.get(name, CELL) for name in columns}
        first = 1
        for batch in bounded_batches(path, columns):
            numbers = np.arange(first, first + len(batch))
            first += len(batch)
            for part, at in _short(batch, limits, numbers, path.name, notes):
                cells = [_as_text(part.column(name), types[name]) for name in columns]
                good = clean_rows(cells, at, path.name, notes)
                text = pa.record_batch(cells, names=list(columns))
                yield (text, at) if good.all() else (text.filter(pa.array(good)), at[good])
    except TooLargeError as error:
        raise unreadable(
            path,
            what,
            f"it needs more memory than is given to it: {error}",
            "write smaller row groups or pages",
        ) from error
    except ValueError as error:  # pyarrow's ArrowInvalid is one, too
        raise unreadable(path, what, f"not a Parquet file in order: {error}", "write it again") from error
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise unreadable(path, what, f"not a Parquet file in order: {error}", "write it again") from error


def _short(
    batch: pa.RecordBatch, limits: Mapping[str, int], numbers: npt.NDArray[np.int64], file: str, notes: Notes
) -> Iterator[tuple[pa.RecordBatch, npt.NDArray[np.int64]]]:
    """Yield the rows whose cells have at most the bytes of `limits`, about `PIECE` bytes of text at a time."""
    good = np.ones(len(batch), bool)
    for name, most in limits.items():
        good &= within(batch.column(name), most, f"the cell of {name}", numbers, file, notes)
    total = np.zeros(len(batch), np.int64)
    for name in limits:
        total += text_sizes(batch.column(name))
    for piece in pieces(np.where(good, total, 0), PIECE):
        part, at, keep = batch.slice(piece.start, piece.stop - piece.start), numbers[piece], good[piece]
        if keep.all():
            yield part, at
        elif keep.any():
            stored = [column.cast(without_views(column.type)) for column in part.columns]
            yield pa.record_batch(stored, names=batch.schema.names).filter(pa.array(keep)), at[keep]


def without_views(kind: pa.DataType) -> pa.DataType:
    """Return the type for a type whose values are views of text, which pyarrow cannot filter."""
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(without_views(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(without_views(kind.value_type))
    return pa.large_list(without_views(kind.value_type)) if pa.types.is_large_list(kind) else kind


def _text_type(found: pa.DataType, list_allowed: bool) -> pa.DataType | None:
    """Return the type that a column is read as: text or lists of text; None if it can be neither."""
    if pa.types.is_list(found) or pa.types.is_large_list(found) or pa.types.is_fixed_size_list(found):
        inner = _text_type(found.value_type, list_allowed=False)
        return pa.list_(pa.string()) if inner is not None and list_allowed else None
    if pa.types.is_dictionary(found):
        return _text_type(found.value_type, list_allowed=False)
    return None if pa.types.is_nested(found) else pa.string()


def _as_text(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_list(kind):
        return pc.fill_null(written(column), "")
    length = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.append(0, np.cumsum(length)), pa.int32())
    return pa.ListArray.from_arrays(offsets, written(pc.list_flatten(column)))


def written(values: pa.Array) -> pa.Array:
    """Return the values as text; invalid UTF-8 is kept unchanged."""
    if not pa.types.is_float16(values.type):
        return pc.cast(values, pa.string(), safe=False)
    distinct, code = np.unique(values.to_numpy(zero_copy_only=False), return_inverse=True)
    text = np.array([str(value) for value in distinct], object)  # Arrow writes out every digit
    return pa.array(text[code], pa.string(), mask=values.is_null().to_numpy(zero_copy_only=False))


def clean_rows(cells: Sequence[pa.Array], numbers: np.ndarray, file: str, notes: Notes) -> np.ndarray:
    """Return bool[rows], False where a cell contains a zero byte or is not UTF-8 (noted)."""
    good = np.ones(len(numbers), bool)
    for code, faulty in (("not-utf-8", _not_utf8), ("zero-byte", _with_zero)):
        for column in cells:
            if pa.types.is_list(column.type):
                row = pc.list_parent_indices(column).to_numpy()[faulty(pc.list_flatten(column))]
            else:
                row = np.flatnonzero(faulty(column))
            for i in np.unique(row[good[row]]):
                notes.add(code, f"{file}:{numbers[i]}")
                good[i] = False
    return good


def _not_utf8(text: pa.Array) -> np.ndarray:
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return np.array(
            [value is not None and not is_utf8(value) for value in text.cast(pa.binary()).to_pylist()]
        )
    return np.zeros(len(text), bool)


def _with_zero(text: pa.Array) -> np.ndarray:
    holds = pc.fill_null(pc.match_substring(text.cast(pa.binary()), b"\0"), False)
    found: np.ndarray = holds.to_numpy(zero_copy_only=False)
    return found
