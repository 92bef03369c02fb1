"""Canonical JSON: one text per value, so that equal digests mean equal values."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

__all__ = ["canonical_json", "digest_of"]

DEEPEST = 100


def canonical_json(value: object) -> bytes:
    """Return the canonical UTF-8 JSON text of `value`: sorted keys, no white space, floats by `repr`; tuples are lists.

    >>> canonical_json({"b": [1, 2.0], "a": None})
    b'{"a":null,"b":[1,2.0]}'

    Raises:
        TypeError: for what is not JSON (sets, paths, arrays, keys that are not text).
        ValueError: for NaN, infinities, lone surrogates, and more than 100 levels of nesting (so also for a value
            that contains itself).
    """
    _require_json(value, "value", 0)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def digest_of(value: object) -> str:
    """Return the sha256 of `canonical_json(value)`, in hex.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _require_json(value: Any, where: str, depth: int) -> None:
    """Raises `TypeError` or `ValueError` if the value is not JSON; exact types only, as a subclass may hold more."""
    if depth > DEEPEST:
        raise ValueError(f"{where} is nested deeper than {DEEPEST} levels")
    kind = type(value)
    if kind is float and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, which JSON cannot hold")
    if value is None or kind in (bool, int, float, str):
        return
    if kind in (list, tuple):
        for i, item in enumerate(value):
            _require_json(item, f"{where}[{i}]", depth + 1)
        return
    if kind is not dict:
        raise TypeError(f"{where} is a {kind.__name__}, which is not JSON")
    for key, item in value.items():
        if type(key) is not str:
            raise TypeError(f"{where} has the key {key!r}, which is not text")
        _require_json(item, f"{where}[{key!r}]", depth + 1)
