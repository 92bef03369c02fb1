"""Follow the page headers of a Parquet file: what its pages take when they are unpacked is known before one is.

The footer is no proof of it, but a reader unpacks a page into as many bytes as the page's own header says (Apache
Parquet, parquet.thrift, PageHeader; Apache Thrift, compact protocol).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PAGE", "ColumnPages", "column_pages"]

PAGE = 128 << 20  # most bytes of an unpacked page; DuckDB's may have 100 MB, those of others 1 MiB
PAGES = 1 << 20  # most pages of a column in a row group
HEADERS = (256, 4 << 10, 1 << 20)  # bytes that are read for the header of a page, more if it is longer
DEEPEST = 16  # levels of structs in a header
DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # PageType
CODED = (2, 8)  # Encoding: PLAIN_DICTIONARY, RLE_DICTIONARY
DELTA_BYTE_ARRAY = 7  # values share their beginnings, so one page may hold far more text than it has bytes


@dataclass(frozen=True, slots=True)
class ColumnPages:
    """The data pages of a column in a row group: bytes when unpacked, values, and which have codes of the dictionary.

    A value is a row if the column is flat. `dictionary` is the size of the dictionary's page, 0 without one. The texts
    of a `shared` page may each have as many bytes as the page.
    """

    sizes: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    coded: npt.NDArray[np.bool_]
    shared: npt.NDArray[np.bool_]
    dictionary: int

    def most_in(self, rows: int) -> int:
        """Return the most bytes that a flat column's pages without codes hold of `rows` rows from a multiple of it."""
        sizes = np.where(self.shared, np.minimum(self.values, rows) * self.sizes, self.sizes)
        total = np.append(0, np.cumsum(np.where(self.coded, 0, sizes)))
        stops = np.cumsum(self.values)
        starts = np.arange(0, int(stops[-1]) if len(stops) else 0, rows)
        first = np.searchsorted(stops, starts, side="right")
        last = np.searchsorted(stops, starts + rows, side="left")
        held = total[np.minimum(last + 1, len(stops))] - total[first]
        return int(held.max(initial=0))

    def whole(self) -> int:
        """Return the bytes that all pages without codes hold."""
        sizes = np.where(self.shared, self.values * self.sizes, self.sizes)
        return int(sizes[~self.coded].sum())


def column_pages(descriptor: int, column: Any) -> ColumnPages:
    """Return the pages of a column (`pyarrow.parquet.ColumnChunkMetaData`) in an open file.

    Raises:
        ValueError: if the headers cannot be followed, or a page takes more than `PAGE` bytes.
        OSError: if the file cannot be read.
    """
    dictionary = 0
    found: list[tuple[int, int, bool, bool]] = []
    for header in _headers(descriptor, column):
        size = _number(header, 2)
        if size > PAGE:
            raise ValueError(
                f"a page takes {size:,} bytes when it is unpacked, and {PAGE:,} are read at most"
            )
        kind = _number(header, 1)
        if kind == DICTIONARY:
            dictionary = max(dictionary, size, 1)
            continue
        data = header.get(5 if kind == DATA else 8)
        if not isinstance(data, dict):
            raise ValueError("a page has no header of its kind")
        encoding = _number(data, 2 if kind == DATA else 4)
        found.append((size, _number(data, 1), encoding in CODED, encoding == DELTA_BYTE_ARRAY))
        if len(found) > PAGES:
            raise ValueError(f"a column has more than {PAGES:,} pages in a row group")
    sizes, values, coded, shared = zip(*found, strict=True) if found else ((), (), (), ())
    return ColumnPages(
        np.array(sizes, np.int64),
        np.array(values, np.int64),
        np.array(coded, bool),
        np.array(shared, bool),
        dictionary,
    )


def _headers(descriptor: int, column: Any) -> Iterator[dict[int, Any]]:
    """Yield the headers of the dictionary's page and the data pages, up to the column's number of values."""
    at, first = int(column.data_page_offset), column.dictionary_page_offset
    if column.has_dictionary_page and first is not None and 0 < first < at:
        at = int(first)
    stop = at + int(column.total_compressed_size)
    values, wanted = 0, int(column.num_values)
    while at < stop and values < wanted:
        header, length = _header(descriptor, at)
        size = _number(header, 3)
        at += length + size
        kind = _number(header, 1)
        if kind in (DATA, DATA_V2):
            values += _number(header.get(5 if kind == DATA else 8, {}), 1)
        if kind in (DATA, DICTIONARY, DATA_V2):
            yield header


def _header(descriptor: int, at: int) -> tuple[dict[int, Any], int]:
    """Return the header of the page at a position of the file, and its length."""
    for size in HEADERS:
        data = os.pread(descriptor, size, at)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            if len(data) < size:
                break
    raise ValueError("the header of a page is cut, or longer than a header can be")


def _number(fields: Any, number: int) -> int:
    value = fields.get(number) if isinstance(fields, dict) else None
    if type(value) is not int or not 0 <= value < 1 << 31:
        raise ValueError("a header of a page has no number where one must be")
    return value


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by their numbers, texts and lists as None, and where it ends."""
    if depth > DEEPEST:
        raise ValueError("the header of a page is nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _varint(data, at)
            number = (number >> 1) ^ -(number & 1)
        fields[number], at = _value(data, at, head & 15, depth)


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false, which have no bytes
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        value, at = _varint(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return None, at + length
    if kind in (9, 10):
        return None, _list(data, at, depth)
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise ValueError("the header of a page holds a type that no header has")


def _list(data: bytes, at: int, depth: int) -> int:
    """Return where a list or a set ends."""
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    for _ in range(count):
        at = at + 1 if kind in (1, 2) else _value(data, at, kind, depth)[1]
        data[at - 1]  # raises IndexError behind the end
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number in the header of a page has no end")
