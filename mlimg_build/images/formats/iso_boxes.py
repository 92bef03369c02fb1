"""The boxes of AVIF, HEIC and JPEG 2000 files: ISO base media.

Read here before a library sees the file: whether it is whole, how large the images are that it states, and which codec
they need. Source: ISO/IEC 14496-12 (boxes, meta, iloc, iinf), ISO/IEC 23008-12 (HEIF: ispe, pitm).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlimg_build.images.status import BadImage, Status

__all__ = [
    "Box",
    "Item",
    "boxes",
    "brands",
    "first_samples",
    "items",
    "nested",
    "size_of",
    "whole",
    "without_exif",
]

_MOST_BRANDS = 1024  # bytes of an ftyp box that are read
_MOST = 100_000  # boxes, items or extents of one file; a photograph of a telephone has some 100
_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"iprp", b"ipco"}
_FULL = {b"meta", b"iinf"}  # version and flags stand before what they contain


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its type, and the positions of its content in the file."""

    kind: bytes
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a HEIF file: its type ("av01", "hvc1", "grid", "Exif" …), the position of that in the file, and where
    its bytes lie: (start, stop) in the file."""

    number: int
    kind: bytes
    kind_at: int
    extents: tuple[tuple[int, int], ...]


def brands(data: bytes) -> set[bytes]:
    """Return the brands in the file's ftyp box, the major one and the compatible ones; none without such a box.

    >>> sorted(brands(bytes(3) + b"\\x18ftypmif1" + bytes(4) + b"heicmif1"))
    [b'heic', b'mif1']
    """
    if data[4:8] != b"ftyp":
        return set()
    stop = min(int.from_bytes(data[:4], "big"), len(data), _MOST_BRANDS)
    return {data[8:12], *(data[at : at + 4] for at in range(16, stop - 3, 4))}


def size_of(data: bytes, ispe: Box) -> tuple[int, int]:
    """Return width and height in pixels that an ispe box states. Raises `BadImage` if the box is too short."""
    if ispe.stop - ispe.start < 12:
        raise _damaged(ispe.start)
    width, height = (int.from_bytes(data[ispe.start + i : ispe.start + i + 4], "big") for i in (4, 8))
    return width, height


def first_samples(data: bytes) -> list[int]:
    """Return where the first chunk of samples of each track begins."""
    found = []
    for box in nested(data, b"stco", b"co64"):
        size = 8 if box.kind == b"co64" else 4
        if box.stop - box.start >= 8 + size:
            found.append(int.from_bytes(data[box.start + 8 : box.start + 8 + size], "big"))
    return found


def boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Box]:
    """Yield the boxes between two positions in order.

    Raises:
        BadImage: truncated if a box goes on behind the end of the file, corrupt if it goes on behind `stop` or has no
            possible size, or if there are more than 100,000.
    """
    end = len(data) if stop is None else stop
    at, count = start, 0
    while at < end:
        head = 8
        if at + 8 > end:
            raise _cut(at) if end == len(data) else _damaged(at)
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            head, size = 16, int.from_bytes(data[at + 8 : at + 16], "big")
        elif size == 0:  # to the end
            size = end - at
        if size < head or count >= _MOST or not kind.isascii():
            raise _damaged(at)
        if at + size > end:
            raise _cut(at) if at + size > len(data) else _damaged(at)
        yield Box(kind, at + head, at + size)
        at += size
        count += 1


def nested(data: bytes, *wanted: bytes) -> list[Box]:
    """Return the boxes of these types in meta, moov and what they contain, in order."""
    found: list[Box] = []
    waiting = [box for box in boxes(data) if box.kind in {b"meta", b"moov"}]
    while waiting:
        box = waiting.pop()
        for inner in boxes(data, box.start + (4 if box.kind in _FULL else 0), box.stop):
            if inner.kind in wanted:
                found.append(inner)
            if inner.kind in _CONTAINERS:
                waiting.append(inner)
        if len(found) > _MOST:
            raise _damaged(box.start)
    return sorted(found, key=lambda box: box.start)


def whole(data: bytes) -> None:
    """Check that the file has every byte that its boxes and items state.

    Raises:
        BadImage: truncated or corrupt.
    """
    for _ in boxes(data):
        continue
    for item in items(data):
        for _, stop in item.extents:
            if stop > len(data):
                raise BadImage.because(Status.truncated, "the file ends before its image data do")


def items(data: bytes) -> list[Item]:
    """Return the items of the file's meta box; their extents are not compared with the length of the file.

    Raises:
        BadImage: truncated or corrupt.
    """
    kinds: dict[int, tuple[bytes, int]] = {}
    places: dict[int, tuple[tuple[int, int], ...]] = {}
    idat = next((box.start for box in nested(data, b"idat")), 0)
    extents = 0
    for box in nested(data, b"iinf", b"iloc"):
        if box.kind == b"iinf":
            first = box.start + (6 if data[box.start : box.start + 1] == b"\0" else 8)
            for entry in boxes(data, first, box.stop):
                version = data[entry.start : entry.start + 1]
                wide = 4 if version == b"\x03" else 2
                at = entry.start + 4 + wide + 2
                if entry.kind == b"infe" and version in {b"\x02", b"\x03"} and at + 4 <= entry.stop:
                    number = int.from_bytes(data[entry.start + 4 : entry.start + 4 + wide], "big")
                    kinds[number] = data[at : at + 4], at
        else:
            found, count = _places(data, box, idat, _MOST - extents)
            places |= found
            extents += count
    return [Item(number, kind, at, places.get(number, ())) for number, (kind, at) in kinds.items()]


def without_exif(data: bytes) -> bytes:
    """Return the file with its EXIF items renamed, so that no library reads them: damage in them is no harm."""
    made = bytearray(data)
    for item in items(data):
        if item.kind == b"Exif":
            made[item.kind_at : item.kind_at + 4] = b"free"
    return bytes(made)


def _places(
    data: bytes, box: Box, idat: int, most: int
) -> tuple[dict[int, tuple[tuple[int, int], ...]], int]:
    """Return the extents of each item that an iloc box lists, and how many they are; an extent may take no byte.

    Raises:
        BadImage: corrupt if they are more than `most`, or the box ends before.
    """
    at = box.start

    def number(size: int) -> int:
        nonlocal at
        if at + size > box.stop:
            raise _damaged(box.start)
        at += size
        return int.from_bytes(data[at - size : at], "big")

    version = number(1)
    number(3)
    sizes, more = number(1), number(1)
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15
    wide = 4 if version == 2 else 2
    found: dict[int, tuple[tuple[int, int], ...]] = {}
    total = 0
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version in {1, 2} else 0
        number(2)
        base = number(base_size) + (idat if method == 1 else 0)
        extents = []
        for _ in range(number(2)):
            if version in {1, 2}:
                number(index_size)
            start = base + number(offset_size)
            length = number(length_size)
            if method < 2:
                extents.append((start, start + length if length else len(data)))
            total += 1
            if total > most:
                raise _damaged(box.start)
        found[item] = tuple(extents)
    return found, total


def _cut(at: int) -> BadImage:
    return BadImage.because(Status.truncated, f"the file ends inside its box at byte {at}")


def _damaged(at: int) -> BadImage:
    return BadImage.because(Status.corrupt, f"the file has no possible box at byte {at}")
