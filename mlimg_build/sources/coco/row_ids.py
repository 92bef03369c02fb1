"""Ids in a COCO JSON: numbers as the format has them, and texts as some of its users write them."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from mlimg_build.sources.image_paths import composed
from mlimg_build.text_limits import NAME, over

__all__ = ["id_key", "id_text", "plain_text"]

PLAIN = 1 << 62  # the keys of numbers lie below it, those of texts above
NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
EXACT = 1 << 53  # a float64 above may stand for several whole numbers


def id_text(value: Any) -> str | None:
    """Return an id as text, None if it is none: a truth value, a fraction, null, a list, an empty or overlong text.

    17 and 17.0 are one number in JSON, and "17" is taken for it.

    >>> id_text(17), id_text(17.0), id_text(" 17"), id_text("a7"), id_text(True), id_text(1.5), id_text("")
    ('17', '17', '17', 'a7', None, None, None)
    """
    if type(value) is int:
        return str(value)
    if type(value) is float:
        return str(int(value)) if value.is_integer() and abs(value) <= EXACT else None
    text = plain_text(value).strip()
    return composed(text) if text and not over(text, NAME) else None


def id_key(value: Any) -> int | None:
    """Return an id as an int64, None if it is none; a text that is no number becomes 62 bits of its BLAKE2b.

    >>> id_key(17), id_key("17"), id_key(None), id_key("a7") == id_key("a7") > 1 << 61
    (17, 17, None, True)
    """
    if type(value) is int and -PLAIN <= value < PLAIN:
        return value
    text = id_text(value)
    if text is None:
        return None
    if NUMBER.fullmatch(text):
        return int(text)
    return PLAIN + (int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 2)


def plain_text(value: Any) -> str:
    """Return a text that can be stored, "" for anything else: no text, a zero byte, half a surrogate pair.

    >>> plain_text("cat"), plain_text(7), plain_text("c\\0t"), plain_text("\\ud800")
    ('cat', '', '', '')
    """
    if not isinstance(value, str) or "\0" in value:
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:
        return ""
    return value
