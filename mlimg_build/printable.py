"""Text from anywhere as it may reach a terminal or a page: nothing in it moves the cursor or turns the line around."""

from __future__ import annotations

import re

__all__ = ["printable", "printable_json"]

# C0 and C1 controls but tab and line feed, line and paragraph separators, and the marks that change the direction of
# text (Unicode Standard Annex 9): a terminal obeys these instead of showing them
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return the text with every control written out.

    >>> printable("dog\x1b[31m"), printable("a\u202eb"), printable("Ameisenbär\t1")
    ('dog\\x1b[31m', 'a\\u202eb', 'Ameisenbär\t1')
    """
    return CONTROLS.sub(_written, text)


def printable_json(text: str) -> str:
    r"""Return JSON with the same controls as escapes of JSON; those below 32 are so in any JSON.

    >>> printable_json('{"a": "\u202e"}')
    '{"a": "\\u202e"}'
    """
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
