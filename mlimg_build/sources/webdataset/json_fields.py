"""Values of fields in the JSON of a sample: numbers as they are written, lists of objects by a path with dots."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from mlimg_build.sources.image_files import is_text

__all__ = [
    "ABSENT_FIELD",
    "JsonError",
    "JsonNumber",
    "can_be_stored",
    "label_of",
    "parse_object",
    "text_of",
    "values_at",
]

WHOLE = re.compile(r"-?[0-9]+")


class JsonError(ValueError):
    """A text that is no JSON object, with the reason in words for people."""


class JsonNumber(str):
    """A number as the JSON has it, so that none is rounded. NaN and Infinity, which are no JSON, are such texts."""

    __slots__ = ()


class _Absent:
    """The value of a field that is not there."""


ABSENT_FIELD: Final = _Absent()


def parse_object(data: bytes) -> dict[str, Any]:
    """Return the object in a text of JSON, its numbers as `JsonNumber`. Raises `JsonError`."""
    try:
        found = DECODER.decode(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise JsonError("it is not UTF-8") from error
    except RecursionError as error:
        raise JsonError("it is nested too deeply") from error
    except ValueError as error:
        raise JsonError(f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise JsonError(f"it is {_kind(found)} and no object")
    return found


DECODER = json.JSONDecoder(parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber)


def values_at(found: Any, path: str) -> list[Any] | None:
    """Return the values of a field, those of a list one by one; `ABSENT_FIELD` for an entry of a list that lacks it.

    A dot in `path` leads into an object, and through a list into each of its entries; a key that is written with the
    dots comes first. None if the object has no such field; [] if its value is null.

    >>> values_at({"present": [{"id": "a"}, {"id": "b"}, {}]}, "present.id")[:2]
    ['a', 'b']
    >>> values_at({"a.b": "x"}, "a.b"), values_at({"a": {"b": None}}, "a.b"), values_at({"a": {}}, "a.b")
    (['x'], [], None)
    """
    value = _value(found, path)
    if value is ABSENT_FIELD:
        return None
    if value is None:
        return []
    return _flat(value) if isinstance(value, list) else [value]


def _value(found: Any, path: str) -> Any:
    while isinstance(found, dict):
        if path in found:
            return found[path]
        first, dot, path = path.partition(".")
        if not dot:
            return ABSENT_FIELD
        found = found.get(first, ABSENT_FIELD)
    if isinstance(found, list):
        return [_value(entry, path) for entry in found]
    return ABSENT_FIELD


def _flat(values: list[Any]) -> list[Any]:
    if not any(isinstance(value, list) for value in values):
        return values
    return [value for entry in values for value in (_flat(entry) if isinstance(entry, list) else [entry])]


def label_of(value: Any) -> str | None:
    """Return a text without the spaces around it, or a whole number as text; None for whatever is no label.

    >>> label_of(" cat "), label_of(JsonNumber("7")), label_of(JsonNumber("7.5")), label_of(True)
    ('cat', '7', None, None)
    """
    if isinstance(value, JsonNumber):
        return str(value) if WHOLE.fullmatch(value) else None
    return value.strip() if isinstance(value, str) and can_be_stored(value) else None


def text_of(value: Any) -> str | None:
    """Return a text without the spaces around it, or a number as text; None for whatever is neither."""
    return value.strip() if isinstance(value, str) and can_be_stored(value) else None


def can_be_stored(text: str) -> bool:
    """Return whether a text of JSON is UTF-8 without zero bytes: half of a surrogate pair is none.

    >>> can_be_stored("cat"), can_be_stored("\\ud800"), can_be_stored("a\\0")
    (True, False, False)
    """
    return "\0" not in text and (text.isascii() or is_text(text))


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return (
        "a number"
        if isinstance(value, JsonNumber)
        else "a text"
        if isinstance(value, str)
        else "null or a boolean"
    )
