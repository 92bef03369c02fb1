"""Read single values of Parquet files by the position of their page, with the pages read last at hand."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from mlimg_build.sources.embedded.page_address import PageAddress
from mlimg_build.sources.embedded.page_layout import page_at, read_dictionary, read_page
from mlimg_build.sources.embedded.page_values import PageValues, PlainValues, values_of

__all__ = ["DamagedPageError", "FileState", "NoValueError", "PageError", "PageReader"]

HELD = 192 << 20  # bytes of pages that are kept, besides the last one


class PageError(ValueError):
    """A page of a Parquet file has no value where one should be; `ctime` (ns) is that of its file."""

    ctime = 0


class DamagedPageError(PageError):
    """A page of a Parquet file cannot be followed where a value should be."""


class NoValueError(PageError):
    """The value of a row is null."""


class FileState(NamedTuple):
    """A file as it was opened, so that no page of another is taken for its own: path, bytes, mtime (ns)."""

    path: str
    size: int
    mtime: int


@dataclass(frozen=True, slots=True)
class _Page:
    """A page: the number of each row's value (-1: null), None if they are those of the rows; and the values."""

    rows: int
    number: npt.NDArray[np.int32] | None
    values: PageValues

    @property
    def held(self) -> int:
        return self.values.held + (0 if self.number is None else int(self.number.nbytes))


class PageReader:
    """Reads values of Parquet files; of the pages read last it keeps about `held` bytes."""

    def __init__(self, held: int = HELD) -> None:
        self._most, self._held = held, 0
        self._pages: OrderedDict[tuple[FileState, int], _Page] = OrderedDict()
        self._dictionaries: WeakValueDictionary[tuple[FileState, int], PlainValues] = WeakValueDictionary()

    def read(self, descriptor: int, file: FileState, offset: int, inside: int) -> bytes:
        """Return the value of the row that `inside` says (`PageAddress`) in the page at `offset` of an open file.

        Raises:
            NoValueError: if it is null.
            DamagedPageError: if the page cannot be followed.
            OSError: if the file cannot be read.
        """
        address = PageAddress.of(inside)
        try:
            page = self._page(descriptor, file, offset, address)
            if address.row >= page.rows:
                raise DamagedPageError("the page has fewer rows")
            number = address.row if page.number is None else int(page.number[address.row])
            if number < 0:
                raise NoValueError("the row has no bytes of an image")
            return page.values.get(descriptor, number)
        except (IndexError, OverflowError) as error:
            raise DamagedPageError("its page cannot be followed") from error
        except PageError:
            raise
        except ValueError as error:
            raise DamagedPageError(str(error)) from error

    def _page(self, descriptor: int, file: FileState, offset: int, address: PageAddress) -> _Page:
        kept = self._kept(file, offset)
        if kept is not None:
            return kept
        header = page_at(descriptor, offset, file.size)
        found = read_page(descriptor, header, address.level, address.codec)
        dictionary = None
        if address.back:
            dictionary = self._dictionary(descriptor, file, offset - address.back, address.codec)
        number = None
        if found.present is not None:
            number = np.where(found.present, np.cumsum(found.present) - 1, -1).astype(np.int32)
        return self._keep(file, offset, _Page(found.rows, number, values_of(descriptor, found, dictionary)))

    def _dictionary(self, descriptor: int, file: FileState, offset: int, codec: int) -> PageValues:
        """Return the values of a dictionary, which lives as long as a page that is kept has codes of it."""
        kept = self._dictionaries.get((file, offset))
        if kept is None:
            kept = PlainValues(*read_dictionary(descriptor, page_at(descriptor, offset, file.size), codec))
            self._dictionaries[file, offset] = kept
        return kept

    def _kept(self, file: FileState, offset: int) -> _Page | None:
        page = self._pages.get((file, offset))
        if page is not None:
            self._pages.move_to_end((file, offset))
        return page

    def _keep(self, file: FileState, offset: int, page: _Page) -> _Page:
        while self._pages and self._held + page.held > self._most:
            self._held -= self._pages.popitem(last=False)[1].held
        self._pages[file, offset] = page
        self._held += page.held
        return page
