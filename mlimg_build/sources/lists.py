"""Tables of text read as a stream: every row is either handed on with its number or noted, none stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.protocol import Notes

__all__ = ["confidences", "read_lines", "read_table", "require_file", "text"]

BLOCK = 16 << 20  # bytes read at a time


def require_file(path: Path, what: str) -> None:
    """Raises `SourceError` unless `path` is a file with something in it."""
    if not path.is_file():
        raise SourceError(
            Problem(
                "list-missing",
                f"{what} does not exist: {path}" if not path.exists() else f"{what} is not a file: {path}",
                hint="correct the path, or set the variable that the spec takes it from",
            )
        )
    if path.stat().st_size == 0:
        raise SourceError(
            Problem("list-empty", f"{what} is empty: {path}", hint="a download that broke off leaves such a file; get it again")
        )


def read_table(
    path: Path, what: str, notes: Notes, columns: Sequence[str], delimiter: str = ","
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yields the named columns of a CSV with header, as UTF-8 text, with the number of each row in the file.

    The header is row 1, so the first row of data is row 2, as a spreadsheet counts. Rows with another number of
    fields, and rows that are not UTF-8, are noted and left out. Raises `SourceError` for a file that is missing,
    empty, without one of the columns or without a single row.
    """
    require_file(path, what)
    skipped: list[int] = []

    def skip(row: csv.InvalidRow) -> str:
        skipped.append(row.number)
        notes.add("malformed-row", f"{path.name}:{row.number}: {row.actual_columns} fields, expected {row.expected_columns}")
        return "skip"

    rows = 0
    try:
        with csv.open_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK),
            parse_options=csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.binary() for name in columns}, strings_can_be_null=False, null_values=[]
            ),
        ) as reader:
            _require_columns(path, what, reader.schema.names, columns)
            for batch in reader:
                numbers = _row_numbers(rows + 2, len(batch), skipped)
                rows = int(numbers[-1]) - 1 if len(numbers) else rows
                yield text(batch.select(columns), numbers, path.name, notes)
    except pa.ArrowInvalid as error:
        raise SourceError(
            Problem("list-unreadable", f"{what} is not a table that can be read: {path}: {_first_line(error)}", hint="open it in a spreadsheet and look at its first rows")
        ) from error
    if not rows:
        raise SourceError(Problem("list-empty", f"{what} has a header and no row: {path}", hint="get the file again"))


def read_lines(path: Path, what: str, notes: Notes) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Yields the lines of a text file as UTF-8 strings, with their numbers from 1; empty lines are left out."""
    require_file(path, what)
    number = 1
    with csv.open_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=["line"]),
        parse_options=csv.ParseOptions(delimiter="\x01", quote_char=False, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(column_types={"line": pa.binary()}, strings_can_be_null=False, null_values=[]),
    ) as reader:
        for batch in reader:
            numbers = np.arange(number, number + len(batch))
            number += len(batch)
            lines, numbers = text(batch, numbers, path.name, notes)
            column = lines.column("line")
            filled = pc.not_equal(column, "")
            yield column.filter(filled), numbers[filled.to_numpy(zero_copy_only=False)]


def text(batch: pa.RecordBatch, numbers: np.ndarray, file: str, notes: Notes) -> tuple[pa.RecordBatch, np.ndarray]:
    """The batch with its binary columns as strings; rows that are not UTF-8 are noted and left out."""
    try:
        return pa.record_batch([column.cast(pa.string()) for column in batch.columns], names=batch.schema.names), numbers
    except pa.ArrowInvalid:
        good = np.ones(len(batch), dtype=bool)
        for column in batch.columns:
            for i, value in enumerate(column.to_pylist()):
                try:
                    value.decode()
                except UnicodeDecodeError:
                    good[i] = False
        for i in np.flatnonzero(~good):
            notes.add("not-utf-8", f"{file}:{numbers[i]}")
        kept = batch.filter(pa.array(good))
        return pa.record_batch([column.cast(pa.string()) for column in kept.columns], names=kept.schema.names), numbers[good]


def confidences(column: pa.Array, numbers: np.ndarray, file: str, notes: Notes, lowest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The confidences as float32, and a bool array that is False where the text is no number in [lowest, 1] (noted)."""
    stripped = pc.utf8_trim_whitespace(column)
    numeric = pc.match_substring_regex(stripped, r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$")
    filled = pc.if_else(numeric, stripped, "nan")
    values = filled.cast(pa.float32()).to_numpy(zero_copy_only=False)
    good = (values >= np.float32(lowest)) & (values <= 1)
    for i in np.flatnonzero(~good):
        notes.add("bad-confidence", f"{file}:{numbers[i]}: {column[int(i)].as_py()!r}")
    return values, good


def _row_numbers(first: int, count: int, skipped: list[int]) -> np.ndarray:
    """Row numbers of `count` rows from `first` on, leaving out the rows that were skipped."""
    numbers = np.arange(first, first + count + len(skipped))
    return numbers[~np.isin(numbers, skipped)][:count]


def _require_columns(path: Path, what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in found]
    if absent:
        raise SourceError(
            Problem(
                "column-missing",
                f"{what} has no column {', '.join(absent)}: {path}",
                hint=f"its columns are {', '.join(found)}",
            )
        )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
