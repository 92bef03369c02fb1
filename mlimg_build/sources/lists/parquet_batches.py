"""Read a Parquet file in batches that fit into a bounded memory, whatever its pages claim, repeat or compress."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.regular_files import open_regular
from mlimg_build.sources.lists.parquet_pages import ColumnPages, column_pages

__all__ = ["bounded_batches"]

ROWS = 1 << 16  # most rows of a batch
WINDOW = 128 << 20  # bytes of a column that a batch may take
NESTED = (
    1 << 30
)  # bytes that a column of lists may take in a row group, as one of its rows may have all of them
LEVELS = 16  # bytes of a value in a column of lists, besides a text
BUFFER = 1 << 20  # bytes of a column that are read at a time
WIDTH = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}


class _Reading(NamedTuple):
    """How a row group is read: rows of a batch, and the columns whose texts stay codes of a dictionary."""

    rows: int
    coded: tuple[str, ...]
    coded_lists: tuple[str, ...]


def bounded_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the columns in order; texts may be codes of a dictionary, in lists too.

    The headers of the pages are read first. Where a value of a dictionary would be copied into so many rows that a
    batch takes more than `WINDOW` bytes, it is not copied; where pages are large, a batch has fewer rows.

    Raises:
        ValueError: if a page or a row group of lists takes too much memory, or the headers cannot be followed.
        OSError: if the file cannot be read.
        pyarrow.ArrowException: if its content is damaged.
    """
    descriptor = open_regular(path)
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
            every = [(i, file.schema.column(i)) for i in range(metadata.num_columns)]
        leaves = [
            (i, leaf) for i, leaf in every if any(f"{leaf.path}.".startswith(f"{name}.") for name in columns)
        ]
        groups = (_reading(path, descriptor, metadata, i, leaves) for i in range(metadata.num_row_groups))
        runs = [*_runs(groups)]
    finally:
        os.close(descriptor)
    for reading, some in runs:
        coded = [*reading.coded, *reading.coded_lists]
        with pq.ParquetFile(path, metadata=metadata, read_dictionary=coded, buffer_size=BUFFER) as file:
            yield from file.iter_batches(reading.rows, row_groups=some, columns=list(columns))


def _runs(groups: Iterable[tuple[_Reading, int]]) -> Iterator[tuple[_Reading, list[int]]]:
    """Yield the row groups that are read together: in the same way, and less than `WINDOW` bytes or one alone."""
    run: list[int] = []
    before, held = _Reading(0, (), ()), 0
    for number, (reading, size) in enumerate(groups):
        if run and (reading != before or reading.coded_lists or held + size > WINDOW):
            yield before, run
            run, held = [], 0
        run.append(number)
        before, held = reading, held + size
    if run:
        yield before, run


def _reading(
    path: Path, descriptor: int, metadata: pq.FileMetaData, group: int, leaves: Sequence[tuple[int, Any]]
) -> tuple[_Reading, int]:
    """Return how a row group is read, and how many bytes it may take."""
    rows, total = ROWS, 0
    coded: list[str] = []
    coded_lists: list[str] = []  # pyarrow reads them with one dictionary only, so each row group alone
    chunks = metadata.row_group(group)
    for number, leaf in leaves:
        try:
            pages = column_pages(descriptor, chunks.column(number))
            width = WIDTH.get(leaf.physical_type, leaf.length or 0)
            text = leaf.physical_type == "BYTE_ARRAY"
            copies = int(pages.values[pages.coded].sum())
            longest = _longest(path, metadata, group, leaf, pages) if text and pages.dictionary else 0
            if leaf.max_repetition_level:
                size = int(pages.values.sum()) * (LEVELS + width) + pages.whole()
                if pages.coded.all() and size + copies * longest > NESTED:
                    coded_lists.append(leaf.path)
                    copies = 0
                _require_small(size + copies * longest)
            else:
                size = int(pages.values.sum()) * width + pages.whole()
                if min(copies, rows) * longest > WINDOW:
                    coded.append(leaf.path)
                    copies = 0
                while rows > 1 and rows * width + pages.most_in(rows) > WINDOW:
                    rows //= 2
            total += size + copies * longest + pages.dictionary
        except ValueError as error:
            raise ValueError(f"column {leaf.path}, row group {group}: {error}") from error
    return _Reading(rows, tuple(coded), tuple(coded_lists)), total


def _longest(path: Path, metadata: pq.FileMetaData, group: int, leaf: Any, pages: ColumnPages) -> int:
    """Return the most bytes that a text of a dictionary may have; it is read, with the first row, if it is large."""
    copies = int(pages.values[pages.coded].sum())
    if (copies if leaf.max_repetition_level else min(copies, ROWS)) * pages.dictionary <= WINDOW:
        return pages.dictionary
    with pq.ParquetFile(path, metadata=metadata, read_dictionary=[leaf.path], buffer_size=BUFFER) as file:
        for batch in file.iter_batches(1, row_groups=[group], columns=[leaf.path], use_threads=False):
            found = batch.column(0)
            while pa.types.is_nested(found.type):
                found = pc.list_flatten(found)
            if pa.types.is_dictionary(found.type) and len(found.dictionary):
                return int(pc.max(pc.binary_length(found.dictionary)).as_py() or 0)
    return pages.dictionary


def _require_small(size: int) -> None:
    """Raise `ValueError` if a column of lists takes more than `NESTED` bytes in a row group."""
    if size > NESTED:
        raise ValueError(
            f"its lists may take {size:,} bytes, and at most {NESTED:,} are read: write smaller row groups"
        )
