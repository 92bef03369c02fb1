"""Read the images of a shard that share compressed pages of Parquet page by page, and keep them until their turn.

A shard's rows are in the order of hashes, so neighbours lie in different pages; read in that order, a page would be
unpacked for each of its images. The order of the rows stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, Any

from mlimg_build.errors import SourceError
from mlimg_build.images import BadImage
from mlimg_build.sources import NOT_INSIDE, PageError, needs_whole_page

__all__ = ["PageSpool"]

WORTH = 4 / 3  # images of a page, from which reading them together saves more than it costs

Read = Callable[[dict[str, Any]], tuple[bytes, int]]


class PageSpool:
    """Images in a temporary file, by the number of their row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._found: dict[int, tuple[int, int, int] | BadImage | PageError] = {}

    def fill(self, rows: Sequence[dict[str, Any]], read: Read) -> None:
        """Read the images of pages that have to be unpacked, if several are in a page; in the order of the pages.

        An error of the source ends it: who asks for the image then will read it, and meet the error.
        """
        paged = [
            number
            for number, row in enumerate(rows)
            if not row["status"] and row["inside"] != NOT_INSIDE and needs_whole_page(row["inside"])
        ]
        places = {
            number: (row["source"], row["path"], row["offset"]) for number in paged for row in [rows[number]]
        }
        if len(paged) < WORTH * len(set(places.values())):
            return
        for number in sorted(paged, key=places.__getitem__):
            try:
                data, ctime = read(rows[number])
            except (BadImage, PageError) as error:
                self._found[number] = error
                continue
            except SourceError:
                return
            self._found[number] = (self._file.tell(), len(data), ctime)
            self._file.write(data)

    def take(self, number: int) -> tuple[bytes, int] | None:
        """Return the bytes of a row's image and the ctime of its file, None if it was not read. Raises its error."""
        found = self._found.pop(number, None)
        if found is None:
            return None
        if not isinstance(found, tuple):
            raise found
        start, size, ctime = found
        self._file.seek(start)
        return self._file.read(size), ctime
