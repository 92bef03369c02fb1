"""Read structs of Apache Thrift's compact protocol, in which the metadata of Parquet are written."""

from __future__ import annotations

from typing import Any

__all__ = ["read_struct", "varint", "whole_number"]

DEEPEST = 16  # levels of structs and lists
STRUCT = 12


def read_struct(data: bytes, at: int, listed: int = 0, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the fields of the struct at a position by their numbers, and where it ends.

    Lists of structs are kept to a depth of `listed` lists; texts and other lists are None. Of a field that occurs twice
    the last counts, as in Arrow.

    Raises:
        IndexError: if the bytes end before the struct does.
        ValueError: if it is no struct that metadata have.
    """
    if depth > DEEPEST:
        raise ValueError("metadata are nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = data[at]
        at += 1
        if head == 0:
            return fields, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = varint(data, at)
            number = (number >> 1) ^ -(number & 1)
        fields[number], at = _value(data, at, head & 15, listed, depth)


def whole_number(fields: Any, number: int, below: int = 1 << 31) -> int:
    """Return a field that is a number of at least 0. Raises `ValueError` if it is none."""
    value = fields.get(number) if isinstance(fields, dict) else None
    if type(value) is not int or not 0 <= value < below:
        raise ValueError("metadata have no number where one must be")
    return value


def _value(data: bytes, at: int, kind: int, listed: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true and false, which have no bytes
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        value, at = varint(data, at)
        return (value >> 1) ^ -(value & 1), at
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = varint(data, at)
        return None, at + length
    if kind in (9, 10):
        return _list(data, at, listed, depth)
    if kind == STRUCT:
        return read_struct(data, at, listed, depth + 1)
    raise ValueError("metadata hold a type that they do not have")


def _list(data: bytes, at: int, listed: int, depth: int) -> tuple[list[Any] | None, int]:
    """Return a list of structs if it is wanted, None for any other, and where it ends."""
    if depth > DEEPEST:
        raise ValueError("metadata are nested too deeply")
    count, kind = data[at] >> 4, data[at] & 15
    at += 1
    if count == 15:
        count, at = varint(data, at)
    kept: list[Any] | None = [] if listed and kind == STRUCT else None
    for _ in range(count):
        value, at = (
            (None, at + 1) if kind in (1, 2) else _value(data, at, kind, max(0, listed - 1), depth + 1)
        )
        data[at - 1]  # raises IndexError behind the end
        if kept is not None:
            kept.append(value)
    return kept, at


def varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """Return the number of up to 64 bits that begins at a byte, and where it ends.

    >>> varint(bytes([0xAC, 0x02]), 0)
    (300, 2)

    Raises:
        IndexError: if the bytes end before it.
        ValueError: if it is longer.
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number has no end")
