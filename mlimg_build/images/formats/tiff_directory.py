"""The first directory of a TIFF, read without warnings, and the same image as a TIFF that has nothing else.

Pillow warns about damaged metadata, follows every further page and turns the image by its orientation; none of that
happens if its plugin is given a file with one directory of the needed tags.
Source: TIFF 6.0, section 2; BigTIFF (libtiff, bigtiff specification).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from mlimg_build.images.status import BadImage, Status

__all__ = ["SIGNATURES", "Directory", "first_directory", "plain"]

SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# bytes of a value by type: BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SSHORT, SLONG, LONG8, SLONG8, IFD8
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 8: 2, 9: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q", 18: "Q"}
_NEEDED = frozenset(
    {256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325}
    | {332, 338, 339, 347, 529, 530, 531, 532}
)
_ORIENTATION = 274
_MOST = 4096  # entries of a directory


@dataclass(frozen=True, slots=True)
class Directory:
    """The needed tags of a TIFF's first page: `entries` has the type, the number of values and their bytes, by tag."""

    order: str
    entries: Mapping[int, tuple[int, int, bytes]]

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the values of a tag of whole numbers; `default` without it. Raises `BadImage` for other values."""
        if tag not in self.entries:
            return default
        kind, count, body = self.entries[tag]
        if kind not in _WHOLE:
            raise BadImage.because(Status.corrupt, f"the TIFF's tag {tag} holds no whole numbers")
        return struct.unpack(f"{self.order}{count}{_WHOLE[kind]}", body)

    def number(self, tag: int, default: int) -> int:
        """Return the only value, or the first, of a tag; `default` without it."""
        return next(iter(self.numbers(tag)), default)

    def body(self, tag: int) -> bytes:
        """Return the bytes of a tag's values; none without it."""
        return self.entries[tag][2] if tag in self.entries else b""


def first_directory(data: bytes) -> Directory:
    """Return the first directory of a TIFF or BigTIFF of either byte order; of tags that occur twice the first.

    Raises:
        BadImage: truncated if it, or a value that it points to, lies behind the end of the file; corrupt.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in {b"+\x00", b"\x00+"}
    position, number, each = ("Q", "Q", 20) if big else ("I", "H", 12)
    wide = struct.calcsize(f"{order}{position}")
    (start,) = _unpacked(f"{order}{position}", data, 8 if big else 4)
    if start < 8:
        raise BadImage.because(Status.corrupt, "the TIFF has no directory")
    (count,) = _unpacked(order + number, data, start)
    if not 0 < count <= _MOST:
        raise BadImage.because(Status.corrupt, f"the TIFF's directory has {count} entries")
    start += struct.calcsize(order + number)
    entries: dict[int, tuple[int, int, bytes]] = {}
    for at in range(start, start + count * each, each):
        tag, kind, values = _unpacked(f"{order}HH{position}", data, at)
        if tag not in _NEEDED or tag in entries:
            continue
        if kind not in _SIZES or not values:
            raise BadImage.because(Status.corrupt, f"the TIFF's tag {tag} has no possible type or count")
        size = values * _SIZES[kind]
        place = at + 4 + wide
        if size > wide:
            (place,) = _unpacked(order + position, data, place)
        if place + size > len(data):
            raise BadImage.because(Status.truncated, f"the TIFF ends before the values of its tag {tag}")
        entries[tag] = kind, values, data[place : place + size]
    return Directory(order, entries)


def plain(data: bytes, directory: Directory, changed: Mapping[int, tuple[int, ...]]) -> bytes:
    """Return a TIFF of the one page with the needed tags, without the orientation; the image data stay where they are.

    `changed` has the values (LONG) of tags that are to have others.
    """
    order = directory.order
    found = {tag: entry for tag, entry in directory.entries.items() if tag != _ORIENTATION}
    for tag, (kind, count, body) in found.items():
        if kind in {16, 18}:
            found[tag] = 4, count, _longs(order, struct.unpack(f"{order}{count}Q", body))
    found |= {tag: (4, len(values), _longs(order, values)) for tag, values in changed.items()}
    start = len(data) + (len(data) & 1)
    beside = start + 2 + 12 * len(found) + 4
    rows, rest = [], b""
    for tag, (kind, count, body) in sorted(found.items()):
        place = body.ljust(4, b"\0")
        if len(body) > 4:
            place = struct.pack(f"{order}I", beside + len(rest))
            rest += body + bytes(len(body) & 1)
        rows.append(struct.pack(f"{order}HHI", tag, kind, count) + place)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)
    table = struct.pack(f"{order}H", len(rows)) + b"".join(rows) + bytes(4)
    return b"".join([head, data[8:], bytes(len(data) & 1), table, rest])


def _longs(order: str, values: tuple[int, ...]) -> bytes:
    if max(values) > 0xFFFFFFFF:
        raise BadImage.because(Status.truncated, "the TIFF ends before its image data do")
    return struct.pack(f"{order}{len(values)}I", *values)


def _unpacked(form: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except (struct.error, OverflowError) as error:
        raise BadImage.because(Status.truncated, "the TIFF ends before its directory") from error
