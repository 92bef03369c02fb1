"""Read a Parquet file in batches that fit into a bounded memory, whatever its pages claim, repeat or compress."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.regular_files import open_regular
from mlimg_build.sources.lists.parquet_footer import ColumnChunk, read_chunks
from mlimg_build.sources.lists.parquet_pages import PAGE, ColumnPages, TooLargeError, column_pages

__all__ = ["TooLargeError", "bounded_batches"]

ROWS = 1 << 16  # most rows of a batch
WINDOW = 128 << 20  # bytes that the columns of a batch may take
FEW, WIDE = 64, 4  # a batch of fewer rows than `FEW` may take `WIDE` times `WINDOW`
NESTED = 1 << 30  # bytes that lists may take in a row group, as one of its rows may have all of them
CODED = 4  # lists of texts that take more than 1 / CODED of it are read as codes where they can be
LEVELS = 8  # bytes of a value in a column of lists, besides the value itself
CODE = 4  # bytes of a code of a dictionary, and of the place where a text begins
BUFFER = 1 << 20  # bytes of a column that are read at a time
WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": CODE}


class _Reading(NamedTuple):
    """How a row group is read: rows of a batch, the columns whose texts stay codes of a dictionary, if any of lists."""

    rows: int
    coded: tuple[str, ...]
    lists: bool


class _Column(NamedTuple):
    """A column of a row group: most bytes of a value besides a text, and of a text of its dictionary."""

    leaf: Any
    pages: ColumnPages
    width: int
    longest: int

    def held_by(self, rows: int, coded: bool) -> int:
        """Return the most bytes that so many rows of a flat column take."""
        if not self._is_text or coded:
            return rows * self.width
        return rows * self.width + self.pages.most_in(rows) + min(self.pages.copies(), rows) * self.longest

    def whole(self, coded: bool = False) -> int:
        """Return the most bytes that all rows take."""
        pages, values = self.pages, int(self.pages.values.sum())
        each = self.width + (LEVELS if self.leaf.max_repetition_level else 0)
        if not self._is_text:
            return values * each
        if coded:  # a batch has a copy of the dictionary, to which plain pages add
            return values * each + 2 * (pages.dictionary + pages.whole())
        return values * each + pages.whole() + pages.copies() * self.longest

    @property
    def _is_text(self) -> bool:
        return bool(self.leaf.physical_type == "BYTE_ARRAY")


def bounded_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the columns in order; texts may be codes of a dictionary, in lists too.

    The headers of the pages are read first. Where a value of a dictionary would be copied into so many rows that a
    batch takes more than `WINDOW` bytes, it is not copied; where pages are large, a batch has fewer rows.

    Raises:
        TooLargeError: if a page or a row group of lists takes too much memory.
        ValueError: if the headers cannot be followed.
        OSError: if the file cannot be read.
        pyarrow.ArrowException: if its content is damaged.
    """
    descriptor = open_regular(path)
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            every = [(i, file.schema.column(i)) for i in range(metadata.num_columns)]
        wanted = set(columns)
        leaves = [(i, leaf) for i, leaf in every if not wanted.isdisjoint(_with_ancestors(leaf.path))]
        chunks = read_chunks(descriptor)
        if [len(group) for group in chunks] != [len(every)] * metadata.num_row_groups:
            raise ValueError("a row group has not the columns of the file")
        groups = (_reading(path, descriptor, metadata, i, leaves, chunks[i]) for i in range(len(chunks)))
        runs = [*_runs(groups)]
    finally:
        os.close(descriptor)
    yield from _joined(_batches(path, metadata, runs, columns))


def _with_ancestors(path: str) -> Iterator[str]:
    """Yield the path of a leaf and all that it may lie in; the name of a column may hold dots itself.

    >>> [*_with_ancestors("tags.list.element")]
    ['tags', 'tags.list', 'tags.list.element']
    """
    parts = path.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _batches(
    path: Path,
    metadata: pq.FileMetaData,
    runs: Iterable[tuple[_Reading, list[int]]],
    columns: Sequence[str],
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of each run of row groups."""
    opened = partial(pq.ParquetFile, path, metadata=metadata, buffer_size=BUFFER)
    file, before = None, None
    try:
        for reading, some in runs:
            if file is None or reading.coded != before:
                if file is not None:
                    file.close()
                file, before = opened(read_dictionary=[*reading.coded]), reading.coded
            yield from file.iter_batches(reading.rows, row_groups=some, columns=list(columns))
    finally:
        if file is not None:
            file.close()


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, with small ones that follow each other as one; those with codes stay as they are."""
    small: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        fits = rows + len(batch) <= ROWS and size + batch.nbytes <= WINDOW
        if small and not (fits and not _has_codes(batch.schema) and batch.schema == small[0].schema):
            yield _one(small)
            small, rows, size = [], 0, 0
        small.append(batch)
        rows, size = rows + len(batch), size + batch.nbytes
    if small:
        yield _one(small)


def _one(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _has_codes(kinds: Iterable[pa.Field]) -> bool:
    """Return whether one of the fields, or what lies in it, has codes of a dictionary."""
    return any(
        pa.types.is_dictionary(field.type)
        or _has_codes(field.type.field(i) for i in range(field.type.num_fields))
        for field in kinds
    )


def _runs(groups: Iterable[tuple[_Reading, int]]) -> Iterator[tuple[_Reading, list[int]]]:
    """Yield the row groups that are read together: in the same way, and less than `WINDOW` bytes or one alone."""
    run: list[int] = []
    before, held = _Reading(0, (), False), 0
    for number, (reading, size) in enumerate(groups):
        if run and (reading != before or reading.lists or held + size > WINDOW):
            yield before, run
            run, held = [], 0
        run.append(number)
        before, held = reading, held + size
    if run:
        yield before, run


def _reading(
    path: Path,
    descriptor: int,
    metadata: pq.FileMetaData,
    group: int,
    leaves: Sequence[tuple[int, Any]],
    chunks: Sequence[ColumnChunk],
) -> tuple[_Reading, int]:
    """Return how a row group is read, and how many bytes it may take."""
    columns: list[_Column] = []
    for number, leaf in leaves:
        try:
            pages = column_pages(descriptor, chunks[number], leaf)
            longest = _longest(path, metadata, group, leaf, pages)
        except ValueError as error:
            raise type(error)(f"column {leaf.path}, row group {group}: {error}") from error
        columns.append(_Column(leaf, pages, WIDTH.get(leaf.physical_type, leaf.length or 0), longest))
    _require_room("its pages", group, sum(column.pages.largest for column in columns), PAGE)
    flat = [column for column in columns if not column.leaf.max_repetition_level]
    lists = [column for column in columns if column.leaf.max_repetition_level]
    coded = {column.leaf.path for column in flat if column.pages.codable and _repeats(column)}
    coded_lists = {
        column.leaf.path for column in lists if column.pages.codable and column.whole() > NESTED // CODED
    }
    coded |= coded_lists
    nested = sum(column.whole(column.leaf.path in coded) for column in lists)
    _require_room("its lists", group, nested, NESTED)
    all_rows = max(int(metadata.row_group(group).num_rows), 1)

    def held_by(rows: int) -> int:
        return nested * rows // all_rows + sum(
            column.held_by(rows, column.leaf.path in coded) for column in flat
        )

    rows = _most_rows(held_by, WINDOW)
    if rows < FEW:
        rows = _most_rows(held_by, max(min(WIDE * WINDOW, NESTED - nested), WINDOW))
    total = sum(column.whole(column.leaf.path in coded) + column.pages.dictionary for column in columns)
    return _Reading(rows, tuple(sorted(coded)), bool(coded_lists)), total


def _repeats(column: _Column) -> bool:
    """Return whether copies of the dictionary's texts take more than `WINDOW` in a batch."""
    return min(column.pages.copies(), ROWS) * column.longest > WINDOW


def _most_rows(held_by: Callable[[int], int], most: int) -> int:
    """Return the most rows of a batch that take at most so many bytes, 1 at least."""
    rows = ROWS
    while rows > 1 and held_by(rows) > most:
        rows //= 2
    return rows


def _longest(path: Path, metadata: pq.FileMetaData, group: int, leaf: Any, pages: ColumnPages) -> int:
    """Return the most bytes that a text of a dictionary may have; it is read, with the first row, if it is large."""
    copies = pages.copies() if leaf.max_repetition_level else min(pages.copies(), ROWS)
    if not pages.codable or leaf.physical_type != "BYTE_ARRAY" or copies * pages.dictionary <= WINDOW:
        return pages.dictionary
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=[leaf.path], buffer_size=BUFFER) as file:
        for batch in file.iter_batches(1, row_groups=[group], columns=[leaf.path], use_threads=False):
            texts = _innermost(batch.column(0))
            if pa.types.is_dictionary(texts.type) and len(texts.dictionary):
                return int(pc.max(pc.binary_length(texts.dictionary)).as_py() or 0)
    return pages.dictionary


def _innermost(column: pa.Array) -> pa.Array:
    """Return the values of the only leaf of a column of lists and structs."""
    while pa.types.is_nested(column.type):
        column = column.field(0) if pa.types.is_struct(column.type) else pc.list_flatten(column)
    return column


def _require_room(what: str, group: int, size: int, most: int) -> None:
    """Raise `TooLargeError` if pages or lists of a row group take more bytes than are read."""
    if size > most:
        raise TooLargeError(
            f"row group {group}: {what} may take {size:,} bytes, and at most {most:,} are read"
        )
