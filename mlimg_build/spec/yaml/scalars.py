"""The value of a plain word of YAML: null, true, false, a number or text, by the core schema of YAML 1.2.

YAML 1.1 reads `no` as false, `12:30` as 750 and `1e-4` as text, which are common mistakes in specs.
"""

from __future__ import annotations

import json
import math
import re

__all__ = ["Scalar", "resolve", "shown"]

Scalar = str | int | float | bool | None

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
WHOLE = re.compile(r"[-+]?[0-9]{1,30}")
BASED = re.compile(r"0x[0-9a-fA-F]{1,16}|0o[0-7]{1,20}")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LONGEST = 60


def resolve(text: str) -> Scalar:
    """Return the value of the plain word `text`; what is no finite number is text.

    >>> [resolve(word) for word in ("12", "1e-4", "true", "~", "no", "12:30", ".inf")]
    [12, 0.0001, True, None, 'no', '12:30', '.inf']
    """
    if text in WORDS:
        return WORDS[text]
    if WHOLE.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    if len(text) <= LONGEST and NUMBER.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


def shown(value: object) -> str:
    """Return the value as an error message names it, on one line and of bounded length.

    >>> shown("many"), shown(True), shown(None), shown({"a": 1})
    ('"many"', 'true', 'nothing', 'a mapping')
    """
    if value is None:
        return "nothing"
    if isinstance(value, str):
        text = value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
        return json.dumps(text, ensure_ascii=not text.isprintable())
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return f"a {type(value).__name__}"
