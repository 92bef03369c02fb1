"""Read an array of structures from a MATLAB file of version 5, as the devkit's meta.mat, in memory of its own size.

`scipy.io.loadmat` allocates what a header declares, so that 200 bytes may ask for all memory. The layout is that of
"MAT-File Format" (The MathWorks, R2023a), level 5: elements of a tag (type, bytes) and data, padded to eight bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

__all__ = ["MatlabError", "Value", "read_structures"]

HEADER = 128
UNPACKED = 64 << 20  # bytes that compressed elements may unpack to
MOST = 100_000  # structures
FIELDS, NAME = 1000, 64  # most fields of a structure, most bytes of the name of one
COMPRESSED, MATRIX = 15, 14
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
STRUCT, CHAR = 2, 4  # classes of matrices
Value = str | float | None
"""A text, the first number of an array, or None for anything else."""


class MatlabError(ValueError):
    """A file that cannot be read, with the reason in words for people."""


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    data: memoryview


def read_structures(data: bytes, name: str, wanted: tuple[str, ...]) -> list[dict[str, Value]]:
    """Return the wanted fields of each structure in the array `name`.

    Raises:
        MatlabError: if the file is no MATLAB file of version 5, is damaged, or has no such array.
    """
    if len(data) < HEADER or data[126:128] not in (b"IM", b"MI"):
        raise MatlabError("it is no MATLAB file of version 5")
    order = "<" if data[126:128] == b"IM" else ">"
    names = []
    try:
        for element in _unpacked(memoryview(data)[HEADER:], order):
            if element.kind == MATRIX:
                found, structures = _array(element.data, order, name, wanted)
                if structures is not None:
                    return structures
                names.append(found)
    except MatlabError:
        raise
    except (struct.error, zlib.error, ValueError, OverflowError) as error:
        raise MatlabError(f"it is damaged: {error}") from error
    raise MatlabError(f"it has no array of structures {name}{f', but {names[0]}' if names else ''}")


def _unpacked(data: memoryview, order: str) -> Iterator[_Element]:
    left = UNPACKED
    for element in _elements(data, order):
        if element.kind != COMPRESSED:
            yield element
            continue
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(element.data, max(left, 1))  # 0 would be no limit
        if unpacker.unconsumed_tail or len(plain) > left:
            raise MatlabError(f"it unpacks to more than {UNPACKED:,} bytes")
        left -= len(plain)
        yield from _elements(memoryview(plain), order)


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    """Yield the elements that follow each other. Raises `MatlabError` where one is longer than what is there."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: type and bytes in four bytes, then up to four of data
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise MatlabError("it is damaged: a small element of more than four bytes")
            yield _Element(kind, data[at + 4 : at + 4 + size])
            at += 8
            continue
        at += 8
        if size > len(data) - at:
            raise MatlabError("it is damaged or cut: an element is longer than the file")
        yield _Element(kind, data[at : at + size])
        at += size if kind == COMPRESSED else (size + 7) // 8 * 8


def _array(
    data: memoryview, order: str, name: str, wanted: tuple[str, ...]
) -> tuple[str, list[dict[str, Value]] | None]:
    """Return the name of a matrix and, if it is the array of structures `name`, its structures."""
    elements = _elements(data, order)
    flags, shape, called = next(elements, None), next(elements, None), next(elements, None)
    if flags is None or shape is None or called is None or len(flags.data) < 4:
        raise MatlabError("it is damaged: an array without its head")
    found = bytes(called.data[:NAME]).decode("latin-1")
    if struct.unpack_from(f"{order}I", flags.data)[0] & 0xFF != STRUCT or found != name:
        return found, None
    length, names = next(elements, None), next(elements, None)
    if length is None or names is None:
        raise MatlabError("it is damaged: structures without fields")
    width = int(_number(length, order) or 0)
    if not 0 < width <= NAME or not 0 < len(names.data) <= FIELDS * width:
        raise MatlabError("it is damaged: names of fields of no length, or too many")
    fields = [
        bytes(names.data[i : i + width]).split(b"\0")[0].decode("latin-1")
        for i in range(0, len(names.data), width)
    ]
    if lacking := [one for one in wanted if one not in fields]:
        raise MatlabError(f"its {name} have no field {lacking[0]}, but {', '.join(fields[:8])}")
    structures: list[dict[str, Value]] = []
    for i, element in enumerate(elements):
        if i == MOST * len(fields):
            raise MatlabError(f"it has more than {MOST:,} structures")
        if i % len(fields) == 0:
            structures.append(dict.fromkeys(wanted))
        field = fields[i % len(fields)]
        if field in structures[-1] and element.kind == MATRIX:
            structures[-1][field] = _value(element.data, order)
    return found, structures


def _value(data: memoryview, order: str) -> Value:
    """Return the text or the first number of a matrix."""
    elements = list(_elements(data, order))[:4]
    if len(elements) < 4 or len(elements[0].data) < 4:
        return None
    kind, content = struct.unpack_from(f"{order}I", elements[0].data)[0] & 0xFF, elements[3]
    if kind != CHAR:
        return _number(content, order)
    if content.kind in TEXTS:
        suffix = "" if content.kind == 16 else "-le" if order == "<" else "-be"
        return bytes(content.data).decode(TEXTS[content.kind] + suffix)
    numbers = np.frombuffer(content.data, f"{order}{NUMBERS.get(content.kind, 'u1')}")
    return "".join(chr(number) if 0 < number < 0xD800 else "\ufffd" for number in numbers.tolist())


def _number(element: _Element, order: str) -> float | None:
    form = NUMBERS.get(element.kind)
    if form is None or len(element.data) < np.dtype(form).itemsize:
        return None
    return float(np.frombuffer(element.data, f"{order}{form}", 1)[0])
