"""Read delimited text tables as a stream: every row is yielded with its number or noted; none stops the rest."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from csv import Error as HeaderError
from csv import reader as read_fields
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from mlimg_build.errors import Problem, SourceError
from mlimg_build.missing_values import NO_VALUE
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.lists.line_blocks import Block, empty_lines_where, read_blocks, unreadable
from mlimg_build.sources.lists.text_sizes import within
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import listed, nearest
from mlimg_build.text_limits import CELL, LINE

__all__ = ["filled", "missing_columns", "read_table", "table_header", "without_words"]

WORDS = sorted(NO_VALUE)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The number of fields in a row, the positions of the wanted ones, the delimiter, and the pattern of a row."""

    width: int
    positions: tuple[int, ...]
    delimiter: str
    row: re.Pattern[bytes]

    def is_row(self, line: bytes) -> bool:
        """Return whether a line is a complete row: no open quote and no bare carriage return."""
        line = line.removesuffix(b"\r")
        return b"\r" not in line and (b'"' not in line or self.row.fullmatch(line) is not None)


def _row_pattern(delimiter: str) -> re.Pattern[bytes]:
    """Return the pattern of a row as pyarrow parses it: a quote opens a field only at its start, text may follow it."""
    other = f"[^{re.escape(delimiter)}]"
    field = f'(?:"(?:[^"]|"")*+"{other}*+|(?!"){other}*+)'
    return re.compile(f"{field}(?:{re.escape(delimiter)}{field})*+".encode(), re.DOTALL)


def read_table(
    path: Path,
    what: str,
    notes: Notes,
    columns: Sequence[str],
    delimiter: str = ",",
    optional: Sequence[str] = (),
    most: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Yield the named columns of a CSV with header, as text, and the line number of each row.

    Columns of `optional` follow if the header has them, ignoring case. The header is line 1. A row is one line: a
    quoted field may contain the delimiter but no line end, so that an unclosed quote costs its own row only and not the
    rest of the file. Rows with another number of fields, with an open quote, not in UTF-8, longer than `LINE`, or with
    a cell longer than `CELL` (than `most` of its column) are noted and left out; blank rows are left out. Raises
    `SourceError` if the file is missing or empty, lacks one of the columns, or has no readable row.
    """
    layout: _Layout | None = None
    rows = 0
    before = notes.counts.copy()
    for block in read_blocks(path, what, notes):
        body = block
        if layout is None:
            header, body = _header(path, what, block, delimiter)
            header = _named_so(header, optional)
            columns = [*columns, *(name for name in optional if name in header)]
            error = missing_columns(path, what, header, columns)
            if error is not None:
                raise error
            place = {name: i for i, name in enumerate(header)}
            positions = tuple(place[name] for name in columns)
            layout = _Layout(len(header), positions, delimiter, _row_pattern(delimiter))
        if not body.lines:
            continue
        found = _rows(body, layout, path, notes)
        if found is None:
            raise unreadable(
                path, what, f"no rows from line {body.first} on", "save it again as a CSV in UTF-8"
            )
        batch, numbers = found
        batch = pa.record_batch(batch.columns, names=list(columns))
        good = np.ones(len(batch), bool)
        for name, column in zip(columns, batch.columns, strict=True):
            good &= within(column, most.get(name, CELL), f"the cell of {name}", numbers, path.name, notes)
        rows += int(np.count_nonzero(good))
        yield (batch, numbers) if good.all() else (batch.filter(pa.array(good)), numbers[good])
    if not rows:
        gone = notes.counts - before
        listed = [f"{code} ({count:,}), such as {notes.examples[code][-1]}" for code, count in gone.items()]
        hint = f"its rows were passed over: {'; '.join(listed)}" if listed else "get the file again"
        raise SourceError(
            Problem("list-empty", f"{what} has a header and no row that can be read: {path}", hint=hint)
        )


def table_header(path: Path, what: str, delimiter: str = ",") -> list[str]:
    """Return the names of the columns of a CSV, trimmed. Raises `SourceError` if it cannot be read, as `read_table`."""
    return _header(path, what, next(read_blocks(path, what, Notes())), delimiter)[0]


def filled(column: pa.Array, numbers: np.ndarray, file: str, notes: Notes, code: str) -> np.ndarray:
    """Return bool[n], False where a cell is empty (noted under `code`)."""
    good: np.ndarray = pc.not_equal(column, "").to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(~good):
        notes.add(code, f"{file}:{numbers[i]}")
    return good


def without_words(column: pa.Array, unless: Callable[[str], bool] | None = None) -> pa.Array:
    """Return the column of trimmed text with "" for every word that means no value, except those that `unless` keeps.

    >>> without_words(pa.array(["NaN", "CC0", "n/a"])).to_pylist()
    ['', 'CC0', '']
    """
    words = pc.is_in(pc.utf8_lower(column), pa.array(WORDS))
    if not pc.any(words).as_py():
        return column
    if unless is not None:
        said = pc.unique(column.filter(words)).to_pylist()
        kept = pa.array([text for text in said if text and unless(text)], pa.string())
        words = pc.and_(words, pc.invert(pc.is_in(column, kept)))
    return pc.if_else(words, "", column)


def missing_columns(path: Path, what: str, found: Sequence[str], wanted: Sequence[str]) -> SourceError | None:
    """Return the error for columns that a table lacks or has twice, None if there are none."""
    times = Counter(found)
    absent = [name for name in wanted if not times[name]]
    twice = [name for name in wanted if times[name] > 1]
    if not absent and not twice:
        return None
    problem = f"has no column {listed(absent)}" if absent else f"has the column {listed(twice)} twice"
    near = nearest(absent[0], times) if absent else None
    meant = f'did you mean "{near}"? ' if near else ""
    hint = f"{meant}its columns are {', '.join(found) or 'none'}"
    return SourceError(Problem("column-missing", f"{what} {problem}: {path}", hint=hint))


def _named_so(header: list[str], optional: Sequence[str]) -> list[str]:
    """Return the header with names that equal one of `optional` but for case, and occur once, spelled as there."""
    folded = [name.casefold() for name in header]
    wanted = {name.casefold(): name for name in optional if name not in header}
    return [
        wanted[key] if key in wanted and folded.count(key) == 1 else name
        for name, key in zip(header, folded, strict=True)
    ]


def _header(path: Path, what: str, block: Block, delimiter: str) -> tuple[list[str], Block]:
    line, _, rest = block.data.partition(b"\n")
    if not line.strip() and block.first == 1 and _damaged(path):
        raise unreadable(
            path,
            what,
            f"its header holds a zero byte or is not UTF-8, or has more than {LINE >> 20} MiB",
            "save it as a CSV in UTF-8",
        )
    if b"\r" in line.removesuffix(b"\r"):
        raise unreadable(path, what, "its lines end with a bare carriage return", "save it with line feeds")
    try:
        names = next(read_fields([line.decode().removesuffix("\r")], delimiter=delimiter), [])
    except HeaderError as error:
        raise unreadable(path, what, str(error), "is it a text file?") from error
    return [name.strip() for name in names], Block(rest, block.first + 1, block.lines - 1)


def _damaged(path: Path) -> bool:
    """Return whether the first line of a file is not blank, so that it was emptied because of damage."""
    with os.fdopen(open_regular(path), "rb") as stream:
        return bool(stream.readline(LINE).removeprefix(BOM_UTF8).strip())


def _rows(
    block: Block, layout: _Layout, path: Path, notes: Notes
) -> tuple[pa.RecordBatch, np.ndarray] | None:
    """Return the rows of a block and their numbers; None if it cannot be split into rows.

    Lines that are not one row are searched only if there must be some, as that takes longer than parsing.
    """
    last = block.data.removesuffix(b"\n").rsplit(b"\n", 1)[-1]
    bare = block.data.count(b"\r") != block.data.count(b"\r\n")
    parsed = None if bare or not layout.is_row(last) else _parse(block, layout)
    if parsed is None:
        block = empty_lines_where(
            block,
            lambda line: not layout.is_row(line),
            lambda number: notes.add(
                "malformed-row", f"{path.name}:{number}: a quote is open, or a bare carriage return"
            ),
        )
        parsed = _parse(block, layout)
    if parsed is None:
        return None
    batch, skipped = parsed
    for row, fields in skipped:
        notes.add(
            "malformed-row", f"{path.name}:{block.first + row}: {fields} fields, expected {layout.width}"
        )
    numbers = np.delete(np.arange(block.first, block.first + block.lines), [row for row, _ in skipped])
    empty = np.logical_and.reduce(
        [pc.equal(column, "").to_numpy(zero_copy_only=False) for column in batch.columns]
    )
    return batch.filter(pa.array(~empty)), numbers[~empty]


def _parse(block: Block, layout: _Layout) -> tuple[pa.RecordBatch, list[tuple[int, int]]] | None:
    """Return the columns of the layout, and (row, fields) of the skipped rows; None if rows are not lines."""
    skipped: list[tuple[int, int]] = []

    def skip(row: csv.InvalidRow) -> str:
        skipped.append((row.number - 1, row.actual_columns))
        return "skip"

    names = [str(position) for position in layout.positions]
    try:
        table = csv.read_csv(
            pa.BufferReader(block.data),
            csv.ReadOptions(
                use_threads=False,
                block_size=len(block.data) + 1,  # a single block, else rows have no numbers
                column_names=[str(i) for i in range(layout.width)],
            ),
            csv.ParseOptions(delimiter=layout.delimiter, invalid_row_handler=skip, ignore_empty_lines=False),
            csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows + len(skipped) != block.lines:
        return None
    columns = [table.column(name).combine_chunks() for name in names]
    return pa.record_batch(columns, names=names), skipped
