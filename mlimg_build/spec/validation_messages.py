"""Turn pydantic's errors into messages for the person who wrote the file."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from mlimg_build.spec.document import Path
from mlimg_build.spec.model_fields import described, holders_of, is_tag, keys_at
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.variables import Substituted
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["Finding", "finding_of"]

EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "string_sub_type": "text",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "tuple_type": "a list",
}
BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
TRUTHS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class Finding(NamedTuple):
    """A problem without a place yet: `path` in the data, shown at its key or at its value.

    `key` is the one that is missing, or that an unknown one was probably meant to be.
    """

    code: str
    message: str
    path: Path
    hint: str
    at_key: bool = False
    key: str | None = None


def finding_of(error: ErrorDetails, root: type[BaseModel], written: str | None) -> Finding:
    """Return the finding for an error of `root`'s validation; `written` is its scalar in the file."""
    loc = error["loc"]
    path = tuple(step for step in loc if not is_tag(step))
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    about = described(root, loc)
    if kind == "extra_forbidden":
        return _unknown_key(path, keys_at(root, loc[:-1]), holders_of(root, loc[:-1], str(path[-1])))
    if kind == "missing":
        message, hint = f'"{path[-1]}" is missing', f"add {about}" if about else "add it"
        return Finding("missing-key", message, path[:-1], hint, True, str(path[-1]))
    if "sentence" in context:
        code = "wrong-value" if kind == "value_error" else kind
        at = tuple(context.get("at", ()))
        key = "type" if kind == "missing-key" else None
        on_key = loc[-1:] == ("[key]",) or kind == "missing-key"
        hint = context.get("hint", "")
        hint = hint() if callable(hint) else hint
        return Finding(code, context["sentence"], path + at, hint or about, on_key, key)
    if kind in EXPECTED:
        message = f"expected {EXPECTED[kind]}, found {_found(value, written)}"
        return Finding("wrong-type", message, path, _type_hint(kind, value, written) or about)
    if kind in BOUNDS:
        words, key = BOUNDS[kind]
        message = f"expected {words} {_number(context[key])}, found {_found(value, written)}"
        return Finding("wrong-value", message, path, about)
    if kind == "literal_error":
        return _not_a_choice(path, value, written, str(context["expected"]), about)
    if kind == "too_short":
        what = "entry" if context["min_length"] == 1 else "entries"
        message = f"expected at least {context['min_length']} {what}, found {context['actual_length']}"
        return Finding("wrong-value", message, path, about)
    if kind == "string_too_short":
        return Finding("wrong-value", "expected text, found empty text", path, about)
    return Finding("wrong-value", error["msg"].removesuffix(".").lower(), path, about)


def _unknown_key(path: Path, known: list[str], holders: list[str]) -> Finding:
    key = str(path[-1])
    near = nearest(key, known) if not holders else None
    if holders:
        hint = f"it belongs into {listed(holders, 'or')}: {holders[0]}: {{{key}: …}}"
    else:
        keys = f"the keys here are {listed(known)}" if known else "remove it"
        hint = f'did you mean "{near}"?' if near else keys
    return Finding("unknown-key", f"there is no key {shown(key)} here", path, hint, True, near)


def _not_a_choice(path: Path, value: Any, written: str | None, expected: str, about: str) -> Finding:
    choices = re.findall(r"'([^']*)'", expected)
    near = nearest(value, choices) if isinstance(value, str) else None
    message = f"expected {expected.replace(chr(39), '')}, found {_found(value, written)}"
    if path == ("mlimg",) and isinstance(value, int):
        about = "this release reads version 1 of the language; a newer spec needs a newer mlimg"
    return Finding("wrong-value", message, path, f'did you mean "{near}"?' if near else about)


def _type_hint(kind: str, value: Any, written: str | None) -> str:
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'put it in quotes: "{written if written is not None else value}"'
    if value is None and kind in (
        "string_type",
        "tuple_type",
        "dict_type",
        "model_type",
        "int_type",
        "float_type",
    ):
        return "write a value, or remove the key to get its default"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in TRUTHS:
        return f"write {TRUTHS[value.lower()]}"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        digits = value.replace("_", "").replace(",", "").replace(" ", "")
        return f"write {digits}" if digits.isascii() and digits.isdigit() else ""
    if kind == "tuple_type" and isinstance(value, str):
        return f"write a list: [{value[:60]}]"
    return ""


def _found(value: Any, written: str | None) -> str:
    """Return the value, with the variable that it came from, if any; a number as it is written (1.0, not 1)."""
    if isinstance(written, str) and isinstance(value, int | float) and not isinstance(value, bool):
        return written[:60] if "${" not in written else f"{shown(value)} (from {written[:60]})"
    if isinstance(value, Substituted) or (isinstance(value, str) and written is not None and "${" in written):
        return f"{shown(value)} (from {(written or '')[:60]})"
    return shown(value)


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"
