"""Where in a page of Parquet its levels and its values lie, in the file or unpacked."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.embedded.hybrid_runs import unpack_runs
from mlimg_build.sources.embedded.page_address import MOST_ROWS
from mlimg_build.sources.lists.parquet_pages import (
    DATA,
    DATA_V2,
    DICTIONARY,
    PAGE,
    Page,
    read_header,
    unpacked,
)
from mlimg_build.sources.lists.thrift_structs import whole_number

__all__ = ["Block", "DataPage", "page_at", "read_dictionary", "read_page"]

RLE = 3  # Encoding
LENGTH = 4  # bytes of the length of levels


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a page: `data` if they are in memory, else those of the file from `start` to `stop`."""

    start: int
    stop: int
    data: memoryview | None = None

    def part(self, descriptor: int, start: int, size: int) -> bytes:
        """Return `size` bytes from a place in the block on, fewer if it ends before."""
        stop = min(self.start + start + size, self.stop)
        first = self.start + start
        if self.data is not None:
            return bytes(self.data[first:stop])
        return _whole(descriptor, first, stop - first)

    def __len__(self) -> int:
        return self.stop - self.start

    def loaded(self, descriptor: int) -> memoryview:
        """Return all of it."""
        if self.data is not None:
            return self.data[self.start : self.stop]
        _require_room(len(self))
        return memoryview(_whole(descriptor, self.start, self.stop - self.start))


class DataPage(NamedTuple):
    """A data page: `present` is bool[rows], None if no row is null; its values, and how they are encoded."""

    rows: int
    present: npt.NDArray[np.bool_] | None
    encoding: int
    values: Block


def page_at(descriptor: int, start: int, end: int) -> Page:
    """Return the page whose header begins at `start` of a file of `end` bytes.

    Raises:
        ValueError: if there is none, or it is cut.
        OSError: if the file cannot be read.
    """
    header, length = read_header(descriptor, start)
    page = Page(header, start, start + length, whole_number(header, 3))
    if page.at + page.packed > end:
        raise ValueError("a page is cut")
    return page


def read_page(descriptor: int, page: Page, level: int, codec: int) -> DataPage:
    """Return the parts of a flat column's data page; it is unpacked only if it has to be.

    Raises `ValueError` if it is damaged, `OSError` if the file cannot be read.
    """
    if page.kind == DATA_V2:
        return _second(descriptor, page, level, codec)
    if page.kind != DATA:
        raise ValueError("it is no page of data")
    told = _told(page, 5)
    rows = _rows(told)
    body = _body(descriptor, page, codec, 0, True)
    present = None
    if level:
        if told.get(3) != RLE:
            raise ValueError("levels are written in a way that is not read")
        size = int.from_bytes(body.part(descriptor, 0, LENGTH), "little")
        if LENGTH + size > len(body):
            raise ValueError("a page ends within its levels")
        present = _present(body.part(descriptor, LENGTH, size), level, rows)
        body = replace(body, start=body.start + LENGTH + size)
    return DataPage(rows, present, whole_number(told, 2), body)


def read_dictionary(descriptor: int, page: Page, codec: int) -> tuple[Block, int]:
    """Return the values of a dictionary's page, plainly encoded, and how many they are."""
    if page.kind != DICTIONARY:
        raise ValueError("it is no page of a dictionary")
    return _body(descriptor, page, codec, 0, True), _rows(_told(page, 7))


def _second(descriptor: int, page: Page, level: int, codec: int) -> DataPage:
    told = _told(page, 8)
    rows, size, before = _rows(told), whole_number(told, 5), whole_number(told, 6)
    if before + size > min(page.packed, whole_number(page.header, 2)):
        raise ValueError("a page ends within its levels")
    present = None
    if level:
        present = _present(_whole(descriptor, page.at + before, size), level, rows)
    return DataPage(
        rows,
        present,
        whole_number(told, 4),
        _body(descriptor, page, codec, before + size, told.get(7, True)),
    )


def _body(descriptor: int, page: Page, codec: int, skipped: int, packed: bool) -> Block:
    """Return the bytes of a page behind the first `skipped`, which are never compressed."""
    if codec == 0 or not packed:
        return Block(page.at + skipped, page.at + page.packed)
    size = whole_number(page.header, 2) - skipped
    if size == 0:
        return Block(0, 0, memoryview(b""))
    _require_room(max(page.packed, size))
    plain = unpacked(_whole(descriptor, page.at + skipped, page.packed - skipped), size, codec)
    return Block(0, size, plain)


def _require_room(size: int) -> None:
    if size > PAGE:
        raise ValueError(f"a page is larger than {PAGE:,} bytes")


def _told(page: Page, number: int) -> dict[int, Any]:
    told = page.header.get(number)
    if not isinstance(told, dict):
        raise ValueError("a page has no header of its kind")
    return told


def _rows(told: dict[int, Any]) -> int:
    rows = whole_number(told, 1)
    if rows > MOST_ROWS:
        raise ValueError(f"a page has more than {MOST_ROWS:,} rows")
    return rows


def _present(data: bytes, level: int, rows: int) -> npt.NDArray[np.bool_] | None:
    found: npt.NDArray[np.bool_] = unpack_runs(data, level.bit_length(), rows) == level
    return None if found.all() else found


def _whole(descriptor: int, start: int, size: int) -> bytes:
    data = os.pread(descriptor, max(size, 0), start)
    if len(data) < size:
        raise ValueError("the file ends within a page")
    return data
