"""Guard tarfile against headers without a limit: it reads them whole, and some versions parse them for hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from tarfile import BLOCKSIZE
from typing import IO

from mlimg_build.text_limits import ID, TAR_HEADER

__all__ = ["HeaderError", "HeaderStream", "require_few_records"]

TYPE = slice(156, 157)  # of a header: what the bytes behind it are
PAX = (b"x", b"g", b"X")
LONG = (b"L", b"K")  # a long name, a long link
RECORD = re.compile(rb"([1-9][0-9]{0,6}) ([^=\n]+)=")
NUMBERS = (b"atime", b"ctime", b"mtime", b"uid", b"gid", b"size")  # records that tarfile takes for numbers
SPARSE = b"GNU.sparse."
DIGITS = 8 << 10  # most digits in a row: tarfile's search for hdrcharset begins anew at each of them
MOST_KEPT = 1000  # records that hold for all members, which tarfile copies for each


class HeaderError(ValueError):
    """The headers of a member are longer than they may be, or no records where there must be some."""


class HeaderStream:
    """A tar of which at most `TAR_HEADER` bytes are read between two calls of `begin`; pax headers are checked."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = TAR_HEADER
        self._behind = b""  # the type of the header whose bytes come next

    def begin(self) -> None:
        """Allow `TAR_HEADER` bytes for the next member."""
        self._left = TAR_HEADER

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes. Raises `HeaderError` for more than are left, and for a pax header without records."""
        if not 0 <= size <= self._left:
            raise HeaderError(f"the headers of a member have more than {TAR_HEADER:,} bytes")
        self._left -= size
        data = self._stream.read(size)
        if self._behind in PAX:
            _require_records(data)
        is_header = not self._behind and size == BLOCKSIZE and data[TYPE] in PAX + LONG
        self._behind = data[TYPE] if is_header else b""
        return data

    def seek(self, position: int) -> int:
        """Move to a position."""
        self._behind = b""
        return self._stream.seek(position)

    def tell(self) -> int:
        """Return the position."""
        return self._stream.tell()


def require_few_records(kept: Mapping[str, str]) -> None:
    """Raise `HeaderError` if the records that hold for all members have grown too many or too long."""
    if len(kept) > MOST_KEPT or sum(len(key) + len(value) for key, value in kept.items()) > TAR_HEADER:
        raise HeaderError(
            f"the headers for all members have more than {TAR_HEADER:,} bytes or {MOST_KEPT:,} records"
        )


def _require_records(data: bytes) -> None:
    """Raise `HeaderError` unless the records of a pax header (POSIX.1-2017, pax) follow each other without a gap."""
    at = 0
    while at < len(data) and data[at]:
        found = RECORD.match(data, at)
        stop = at + int(found[1]) if found else 0
        if found is None or stop <= found.end() or data[stop - 1 : stop] != b"\n":
            raise HeaderError("a pax header is not made of records")
        if found[2] in NUMBERS or found[2].startswith(SPARSE):
            _require_few_digits(data[found.end() : stop], ID)
        at = stop
    _require_few_digits(data, DIGITS)


def _require_few_digits(data: bytes, most: int) -> None:
    if any(len(digits) > most for digits in re.findall(rb"\d+", data)):
        raise HeaderError(f"a pax header holds a number of more than {most:,} digits")
