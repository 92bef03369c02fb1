"""The values of one page of Parquet: each is found when it is asked for, and no other is copied.

Apache Parquet, Encodings.md: PLAIN, RLE_DICTIONARY (and PLAIN_DICTIONARY), DELTA_LENGTH_BYTE_ARRAY.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.embedded.hybrid_runs import unpack_runs
from mlimg_build.sources.embedded.page_layout import Block, DataPage
from mlimg_build.sources.lists.parquet_pages import CODED
from mlimg_build.sources.lists.parquet_prefixes import delta_lengths

__all__ = ["DELTA_LENGTH", "PLAIN", "READ", "CodedValues", "PageValues", "PlainValues", "values_of"]

PLAIN, DELTA_LENGTH = 0, 6  # Encoding
READ = (PLAIN, *CODED, DELTA_LENGTH)
LENGTH = 4
BEHIND = 8  # bytes that `delta_lengths` needs behind its numbers


class PageValues(Protocol):
    """The values of a page that are no nulls."""

    @property
    def held(self) -> int:
        """The bytes of memory that they take."""

    def get(self, descriptor: int, number: int) -> bytes:
        """Return one of them. Raises `ValueError` if it is damaged."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class PlainValues:
    """Values that lie one after the other, each behind its length; they are followed as far as is asked for."""

    block: Block
    count: int
    _starts: array[int] = field(default_factory=lambda: array("q", [0]))

    @property
    def held(self) -> int:
        in_memory = 0 if self.block.data is None else len(self.block)
        return in_memory + 8 * self.count

    def get(self, descriptor: int, number: int) -> bytes:
        if not 0 <= number < self.count:
            raise ValueError("a page has fewer values than rows")
        starts = self._starts
        while len(starts) <= number + 1:
            at = starts[-1]
            length = self.block.part(descriptor, at, LENGTH)
            after = at + LENGTH + int.from_bytes(length, "little")
            if len(length) < LENGTH or after > len(self.block):
                raise ValueError("a value lies behind its page")
            starts.append(after)
        first, after = starts[number] + LENGTH, starts[number + 1]
        return self.block.part(descriptor, first, after - first)


@dataclass(frozen=True, slots=True)
class CodedValues:
    """Values that are codes of a dictionary: `get` gives that of the dictionary whose number the code is."""

    codes: npt.NDArray[np.int32]
    dictionary: PageValues

    @property
    def held(self) -> int:
        return int(self.codes.nbytes) + self.dictionary.held

    def get(self, descriptor: int, number: int) -> bytes:
        if number >= len(self.codes):
            raise ValueError("a page has fewer values than rows")
        return self.dictionary.get(descriptor, int(self.codes[number]))


@dataclass(frozen=True, slots=True)
class DeltaValues:
    """Values that lie one after the other behind all of their lengths."""

    block: Block
    starts: npt.NDArray[np.int64]

    @property
    def held(self) -> int:
        return len(self.block) + int(self.starts.nbytes)

    def get(self, descriptor: int, number: int) -> bytes:
        if number + 1 >= len(self.starts):
            raise ValueError("a page has fewer values than rows")
        first, after = int(self.starts[number]), int(self.starts[number + 1])
        if after > len(self.block):
            raise ValueError("a value lies behind its page")
        return self.block.part(descriptor, first, after - first)


def values_of(descriptor: int, page: DataPage, dictionary: PageValues | None) -> PageValues:
    """Return the values of a page. Raises `ValueError` if it is damaged, or encoded in a way that is not read."""
    count = page.rows if page.present is None else int(np.count_nonzero(page.present))
    if page.encoding == PLAIN:
        return PlainValues(page.values, count)
    if page.encoding in CODED:
        if dictionary is None:
            raise ValueError("a page has codes and no dictionary")
        data = page.values.loaded(descriptor)
        if count and not len(data):
            raise ValueError("a page ends within its codes")
        return CodedValues(unpack_runs(data[1:], data[0] if count else 0, count), dictionary)
    if page.encoding != DELTA_LENGTH:
        raise ValueError(f"its values are encoded in a way that is not read ({page.encoding})")
    data = page.values.loaded(descriptor)
    try:
        lengths, at = delta_lengths(bytes(data[: _head(count)]) + bytes(BEHIND), 0)
    except IndexError:
        raise ValueError("a page ends within its lengths") from None
    if len(lengths) < count:
        raise ValueError("a page has fewer values than rows")
    return DeltaValues(Block(at, len(data), data), np.append(0, np.cumsum(lengths)))


def _head(count: int) -> int:
    """Return the most bytes that the lengths of so many values take: 5 each with their blocks' heads, and some."""
    return 8 * count + (64 << 10)
