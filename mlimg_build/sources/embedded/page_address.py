"""The address of an image in a Parquet file, besides the position of its page, in one number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["FARTHEST", "MOST_ROWS", "PageAddress", "needs_whole_page", "page_numbers"]

ROW, LEVEL, CODEC, BACK = 24, 2, 3, 34  # bits of each part, from the lowest
MOST_ROWS = 1 << ROW  # of a page
FARTHEST = 1 << BACK  # bytes from the page of a dictionary to a page with its codes


class PageAddress(NamedTuple):
    """What is needed to read a value besides its page's position: nothing of the file's footer.

    `row` counts in the page, `level` is the definition level of a value that is no null, `codec` is Parquet's
    CompressionCodec, `back` is how many bytes before the page its dictionary's page begins, 0 without one.
    """

    row: int
    level: int
    codec: int
    back: int

    @classmethod
    def of(cls, number: int) -> PageAddress:
        """Return the address that a number stands for.

        >>> PageAddress.of(int(page_numbers(np.array([7]), 2, 6, 4096)[0]))
        PageAddress(row=7, level=2, codec=6, back=4096)
        """
        row, rest = number & (MOST_ROWS - 1), number >> ROW
        level, rest = rest & ((1 << LEVEL) - 1), rest >> LEVEL
        return cls(row, level, rest & ((1 << CODEC) - 1), rest >> CODEC)


def page_numbers(rows: npt.NDArray[np.int64], level: int, codec: int, back: int) -> npt.NDArray[np.int64]:
    """Return int64[n]: the numbers of the addresses of some rows of one page."""
    return rows + (((back << CODEC | codec) << LEVEL | level) << ROW)


def needs_whole_page(number: int) -> bool:
    """Return whether all of a page is unpacked to read one value: it is compressed, or has codes of a dictionary."""
    address = PageAddress.of(number)
    return bool(address.codec or address.back)
