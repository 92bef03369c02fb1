"""Dictionaries of structured fields (RFC 9651, 4.2.2), as far as a preference needs them: strictly parsed, tokens kept.

RFC 9651 is RFC 8941 with dates and display strings. What breaks its syntax anywhere is no dictionary at all.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

__all__ = ["LONGEST_FIELD", "tokens_of"]

LONGEST_FIELD = 16_384  # characters; RFC 9651, 3.2: a parser supports at least 1024 members with keys of 64

_SPACES = re.compile(" *")
_OPTIONAL_SPACE = re.compile("[ \t]*")
_KEY = re.compile(r"[a-z*][a-z0-9_\-.*]*+")
_TOKEN = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+")
_DISPLAY = re.compile(r'%"((?:[ !#$&-~]|%[0-9a-f]{2})*+)"')
_BARE = (  # sections 4.2.4 to 4.2.9; the display string has its own check, and tokens come first
    re.compile(r"-?(?:[0-9]{1,12}\.[0-9]{1,3}|[0-9]{1,15})(?![0-9.])"),
    re.compile(r'"(?:[ !#-\[\]-~]|\\["\\])*+"'),
    re.compile(r":[A-Za-z0-9+/=]*+:"),
    re.compile(r"\?[01]"),
    re.compile(r"@-?[0-9]{1,15}(?![0-9.])"),
)


class _Broken(Exception):
    """The text is no structured field."""


def tokens_of(text: str) -> dict[str, str | None] | None:
    """Return the members of a dictionary: the text of a token, None for any other value; None if it is no dictionary.

    The last of several members of one name counts, its parameters are dropped. A text over `LONGEST_FIELD` is none.

    >>> tokens_of("a=y;p=1,b=n"), tokens_of("a=y,"), tokens_of("A=y"), tokens_of("a=n;why=(1 2)")
    ({'a': 'y', 'b': 'n'}, None, None, None)
    >>> tokens_of("train-ai=y, train-ai, search=n"), tokens_of("")
    ({'train-ai': None, 'search': 'n'}, {})
    """
    if len(text) > LONGEST_FIELD:
        return None
    try:
        return _dictionary(text.strip(" "))
    except _Broken:
        return None


def _dictionary(text: str) -> dict[str, str | None]:
    members: dict[str, str | None] = {}
    at = 0
    while at < len(text):
        key, at = _take(_KEY, text, at)
        value: str | None = None
        if text.startswith("=(", at):
            at = _inner_list(text, at + 2)
        elif text.startswith("=", at):
            value, at = _bare_item(text, at + 1)
        at = _parameters(text, at)
        members.pop(key, None)
        members[key] = value
        at = _skip(_OPTIONAL_SPACE, text, at)
        if at == len(text):
            break
        if text[at] != ",":
            raise _Broken
        at = _skip(_OPTIONAL_SPACE, text, at + 1)
        if at == len(text):
            raise _Broken  # a comma at the end
    return members


def _inner_list(text: str, at: int) -> int:
    """The position after an inner list whose parenthesis was read (4.2.1.2)."""
    while True:
        after = _skip(_SPACES, text, at)
        if text.startswith(")", after):
            return after + 1
        _, after = _bare_item(text, after)
        at = _parameters(text, after)
        if not text.startswith((" ", ")"), at):
            raise _Broken


def _parameters(text: str, at: int) -> int:
    while text.startswith(";", at):
        _, at = _take(_KEY, text, _skip(_SPACES, text, at + 1))
        if text.startswith("=", at):
            _, at = _bare_item(text, at + 1)
    return at


def _bare_item(text: str, at: int) -> tuple[str | None, int]:
    """The text of a token, or None for an item of another type, and the position after it."""
    if token := _TOKEN.match(text, at):
        return token[0], token.end()
    if display := _DISPLAY.match(text, at):
        try:
            unquote_to_bytes(display[1]).decode()
        except UnicodeDecodeError:
            raise _Broken from None
        return None, display.end()
    for pattern in _BARE:
        if found := pattern.match(text, at):
            return None, found.end()
    raise _Broken


def _take(pattern: re.Pattern[str], text: str, at: int) -> tuple[str, int]:
    found = pattern.match(text, at)
    if not found:
        raise _Broken
    return found[0], found.end()


def _skip(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
