"""Follow the page headers of a Parquet file: what its pages take when they are unpacked is known before one is.

The footer is no proof of it, but a reader unpacks a page into as many bytes as the page's own header says (Apache
Parquet, parquet.thrift, PageHeader; Apache Thrift, compact protocol).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.sources.lists.parquet_footer import ColumnChunk
from mlimg_build.sources.lists.parquet_prefixes import text_total
from mlimg_build.sources.lists.thrift_structs import read_struct, whole_number

__all__ = [
    "CODECS",
    "CODED",
    "DATA",
    "DATA_V2",
    "DICTIONARY",
    "PAGE",
    "PAGES",
    "ColumnPages",
    "Page",
    "TooLargeError",
    "column_pages",
    "pages_of",
    "read_header",
    "unpacked",
]

PAGE = 512 << 20  # most bytes of an unpacked page: pyarrow's have 1 MiB, fastparquet's a whole row group
PAGES = 1 << 20  # most pages of a column in a row group
HEADERS = (256, 4 << 10, 1 << 20)  # bytes that are read for the header of a page, more if it is longer
DATA, DICTIONARY, DATA_V2 = 0, 2, 3  # PageType
PLAIN, RLE, DELTA_BYTE_ARRAY = 0, 3, 7  # Encoding
CODED = (2, 8)  # PLAIN_DICTIONARY, RLE_DICTIONARY
CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}  # CompressionCodec; pyarrow's names
LENGTH = 4  # bytes of the length of levels


class TooLargeError(ValueError):
    """A page or a row group needs more memory than is given to it."""


class Page(NamedTuple):
    """A header, where it begins in the file, where the bytes of its page do, and how many they are."""

    header: dict[int, Any]
    start: int
    at: int
    packed: int

    @property
    def kind(self) -> int:
        """The page's type: `DATA`, `DICTIONARY` or `DATA_V2`, or another one."""
        return whole_number(self.header, 1)


@dataclass(frozen=True, slots=True)
class ColumnPages:
    """The data pages of a column in a row group: bytes of their values, values, and which have codes of the dictionary.

    A value is a row if the column is flat. `longest` is the most bytes that one text of a page may have, `largest` the
    bytes of the largest page when it is unpacked, `dictionary` those of the dictionary's page, 0 without one. Texts can
    be read as codes if the column is `codable`: pyarrow makes codes of texts in plain pages, but of no others.
    """

    sizes: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    coded: npt.NDArray[np.bool_]
    longest: npt.NDArray[np.int64]
    largest: int
    dictionary: int
    codable: bool

    def most_in(self, rows: int) -> int:
        """Return the most bytes that a flat column's pages without codes hold of `rows` rows from a multiple of it."""
        sizes = np.minimum(self.sizes, np.minimum(self.values, rows) * self.longest)
        total = np.append(0, np.cumsum(np.where(self.coded, 0, sizes)))
        stops = np.cumsum(self.values)
        starts = np.arange(0, int(stops[-1]) if len(stops) else 0, rows)
        first = np.searchsorted(stops, starts, side="right")
        last = np.searchsorted(stops, starts + rows, side="left")
        held = total[np.minimum(last + 1, len(stops))] - total[first]
        return int(held.max(initial=0))

    def whole(self) -> int:
        """Return the bytes that all pages without codes hold."""
        return int(self.sizes[~self.coded].sum())

    def copies(self) -> int:
        """Return how many values are codes of the dictionary."""
        return int(self.values[self.coded].sum())


def column_pages(descriptor: int, column: ColumnChunk, leaf: Any) -> ColumnPages:
    """Return the pages of a column of a row group (`leaf` is its `ColumnSchema`) in an open file.

    Raises:
        TooLargeError: if a page takes more than `PAGE` bytes, or there are more than `PAGES`.
        ValueError: if the headers cannot be followed.
        OSError: if the file cannot be read.
    """
    dictionary = largest = 0
    codable = True
    found: list[tuple[int, int, bool, int]] = []
    for page in pages_of(descriptor, column):
        size = whole_number(page.header, 2)
        largest = max(largest, size)
        if size > PAGE:
            raise TooLargeError(
                f"a page takes {size:,} bytes when it is unpacked, and at most {PAGE:,} are read"
            )
        kind = whole_number(page.header, 1)
        if kind == DICTIONARY:
            dictionary = max(dictionary, size, 1)
            continue
        data = page.header.get(5 if kind == DATA else 8)
        if not isinstance(data, dict):
            raise ValueError("a page has no header of its kind")
        values, encoding = whole_number(data, 1), whole_number(data, 2 if kind == DATA else 4)
        total, longest = size, size
        if encoding == DELTA_BYTE_ARRAY:  # texts share their beginnings: a page holds more than it has bytes
            total, longest = _shared(descriptor, page, kind, data, column, leaf) or (values * size, size)
        found.append((total, values, encoding in CODED, longest))
        codable &= encoding in (*CODED, PLAIN)
        if len(found) > PAGES:
            raise TooLargeError(f"it has more than {PAGES:,} pages in a row group")
    sizes, numbers, coded, most = zip(*found, strict=True) if found else ((), (), (), ())
    return ColumnPages(
        np.array(sizes, np.int64),
        np.array(numbers, np.int64),
        np.array(coded, bool),
        np.array(most, np.int64),
        largest,
        dictionary,
        codable and dictionary > 0,
    )


def _shared(
    descriptor: int, page: Page, kind: int, data: dict[int, Any], column: ColumnChunk, leaf: Any
) -> tuple[int, int] | None:
    """Return the bytes of all texts and of the longest in a page of DELTA_BYTE_ARRAY; None if they are not found."""
    levels = (leaf.max_repetition_level, leaf.max_definition_level)
    size = whole_number(page.header, 2)
    raw: bytes | memoryview = os.pread(descriptor, page.packed, page.at)
    packed = column.codec != 0
    try:
        if kind == DATA_V2:
            before = whole_number(data, 5) + whole_number(data, 6)
            raw, size, levels = raw[before:], size - before, (0, 0)
            packed &= data.get(7, True)
        elif (levels[1] and data.get(3) != RLE) or (levels[0] and data.get(4) != RLE):
            return None
        if packed:
            raw = unpacked(raw, size, column.codec)
        at = 0
        for level in levels:
            if level:
                at += LENGTH + int.from_bytes(raw[at : at + LENGTH], "little")
        return text_total(raw[at:])
    except (ValueError, LookupError, OSError, MemoryError):
        return None


def unpacked(data: bytes | memoryview, size: int, codec: int) -> memoryview:
    """Return the bytes of a page that is compressed, `size` of them.

    Raises `ValueError` if they are others or damaged, or the codec is not known.
    """
    try:
        plain = memoryview(pa.decompress(data, size, CODECS[codec]))
    except MemoryError:  # also of Arrow, and no fact about the page
        raise
    except (LookupError, OSError, pa.ArrowException) as error:
        raise ValueError("a page cannot be unpacked") from error
    if len(plain) != size:
        raise ValueError("a page has another size than it says")
    return plain


def pages_of(descriptor: int, column: ColumnChunk) -> Iterator[Page]:
    """Yield the dictionary's page and the data pages, up to the column's number of values."""
    at = column.dictionary if 0 < column.dictionary < column.data else column.data
    stop, values = at + column.size, 0
    while at < stop and values < column.values:
        header, length = read_header(descriptor, at)
        page = Page(header, at, at + length, whole_number(header, 3))
        at = page.at + page.packed
        kind = whole_number(header, 1)
        if kind in (DATA, DATA_V2):
            values += whole_number(header.get(5 if kind == DATA else 8, {}), 1)
        if kind in (DATA, DICTIONARY, DATA_V2):
            yield page


def read_header(descriptor: int, at: int) -> tuple[dict[int, Any], int]:
    """Return the header of the page at a position of the file, and its length.

    Raises:
        ValueError: if there is none.
        OSError: if the file cannot be read.
    """
    for size in HEADERS:
        data = os.pread(descriptor, size, at)
        try:
            return read_struct(data, 0)
        except IndexError:
            if len(data) < size:
                break
    raise ValueError("the header of a page is cut, or longer than a header can be")
