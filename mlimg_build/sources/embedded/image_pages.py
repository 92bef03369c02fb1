"""Where the images of a Parquet file lie, by the headers of their pages: no image is read for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.embedded.page_address import FARTHEST, MOST_ROWS, page_numbers
from mlimg_build.sources.embedded.page_layout import page_at, read_page
from mlimg_build.sources.embedded.page_values import PLAIN, READ
from mlimg_build.sources.lists.parquet_footer import ColumnChunk
from mlimg_build.sources.lists.parquet_pages import (
    CODECS,
    CODED,
    DATA,
    DICTIONARY,
    PAGE,
    PAGES,
    Page,
    TooLargeError,
    pages_of,
)
from mlimg_build.sources.lists.thrift_structs import whole_number

__all__ = ["ImageRows", "RowQueue", "locate_rows"]

PLAIN_CODEC = 0


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Some rows: the position of each one's page in the file, its `PageAddress` as a number, and whether it is null.

    `size` is each one's share of the bytes that the column has in the row group, int64[rows].
    """

    offset: npt.NDArray[np.int64]
    inside: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    null: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.offset.size)

    def of(self, rows: slice) -> ImageRows:
        """Return some of the rows."""
        return ImageRows(self.offset[rows], self.inside[rows], self.size[rows], self.null[rows])


def locate_rows(descriptor: int, end: int, chunk: ColumnChunk, level: int) -> ImageRows:
    """Return the rows of a flat column of a row group, in a file of `end` bytes; `level` is its definition level.

    Whether a value is null is taken from statistics; only where there are none, the levels of its page are read, and
    the page is unpacked if they are compressed with it.

    Raises:
        TooLargeError: if a page is larger than `PAGE`, or there are more than `PAGES`.
        ValueError: if the headers cannot be followed, or values are encoded in a way that is not read.
        OSError: if the file cannot be read.
    """
    if chunk.codec != PLAIN_CODEC and chunk.codec not in CODECS:
        raise ValueError(f"its images are compressed in a way that is not read ({chunk.codec})")
    offsets, rows, numbers, nulls = list[int](), list[int](), list[Any](), list[Any]()
    dictionary, total = -1, 0
    for page in pages_of(descriptor, chunk):
        if page.kind == DICTIONARY:
            _require_room(page, chunk.codec != PLAIN_CODEC)
            dictionary = page.start
            continue
        told = page.header.get(5 if page.kind == DATA else 8)
        if not isinstance(told, dict):
            raise ValueError("a page has no header of its kind")
        count, encoding = whole_number(told, 1), whole_number(told, 2 if page.kind == DATA else 4)
        if encoding not in READ:
            raise ValueError(f"its images are encoded in a way that is not read ({encoding})")
        _require_room(page, chunk.codec != PLAIN_CODEC or encoding != PLAIN)
        back = 0
        if encoding in CODED:
            if dictionary < 0:
                raise ValueError("a page has codes and no dictionary")
            back = page.start - dictionary
        if count > MOST_ROWS or back >= FARTHEST:
            raise TooLargeError("a page has too many rows, or lies too far behind its dictionary")
        offsets.append(page.start)
        rows.append(count)
        total += count
        if total > min(MOST_ROWS, chunk.values):
            raise TooLargeError(f"a row group has more than {MOST_ROWS:,} rows, or than it says")
        numbers.append(page_numbers(np.arange(count), level, chunk.codec, back))
        nulls.append(_nulls(descriptor, end, page, told, count, chunk, level))
        if len(offsets) > PAGES:
            raise TooLargeError(f"it has more than {PAGES:,} pages in a row group")
    if total != chunk.values:
        raise ValueError("its pages have not as many rows as it has")
    return ImageRows(
        np.repeat(np.array(offsets, np.int64), rows),
        np.concatenate(numbers or [np.empty(0, np.int64)]),
        np.full(chunk.values, min(chunk.size, end) // max(chunk.values, 1), np.int64),
        np.concatenate(nulls or [np.empty(0, bool)]),
    )


def _require_room(page: Page, is_loaded: bool) -> None:
    """Raise `TooLargeError` if a page takes too much memory; one of which single values are read takes none."""
    size = max(whole_number(page.header, 2), page.packed)
    if is_loaded and size > PAGE:
        raise TooLargeError(f"a page of images takes {size:,} bytes, and at most {PAGE:,} are read")


def _nulls(
    descriptor: int, end: int, page: Page, told: dict[int, Any], rows: int, chunk: ColumnChunk, level: int
) -> npt.NDArray[np.bool_]:
    """Return bool[rows]: which of a page's rows are null."""
    if level == 0 or chunk.nulls == 0:
        return np.zeros(rows, bool)
    if chunk.nulls == chunk.values:
        return np.ones(rows, bool)
    statistics = told.get(5 if page.kind == DATA else 8)
    count = told.get(2) if page.kind != DATA else None
    if count is None and isinstance(statistics, dict):
        count = statistics.get(3)
    if type(count) is int and count in (0, rows):
        return np.full(rows, count > 0)
    present = read_page(descriptor, page_at(descriptor, page.start, end), level, chunk.codec).present
    return np.zeros(rows, bool) if present is None else ~present


class RowQueue:
    """Gives the rows of row groups in pieces of any size."""

    def __init__(self, groups: Iterator[ImageRows]) -> None:
        self._groups = groups
        self._rest: list[ImageRows] = []

    def take(self, rows: int) -> ImageRows:
        """Return the next rows. Raises `ValueError` if there are fewer."""
        taken: list[ImageRows] = []
        while rows:
            if not self._rest:
                group = next(self._groups, None)
                if group is None:
                    raise ValueError("its column of images has fewer rows than others")
                self._rest = [group]
            one = self._rest.pop()
            count = min(rows, len(one))
            taken.append(one.of(slice(count)))
            rows -= count
            if count < len(one):
                self._rest = [one.of(slice(count, None))]
        columns = [(one.offset, one.inside, one.size, one.null) for one in taken]
        return ImageRows(*map(np.concatenate, zip(*columns, strict=True)))
