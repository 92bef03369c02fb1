"""The groups of a robots.txt: which of its lines concern one crawler, each with its number (RFC 9309, 2.1 and 2.2)."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["LARGEST_ROBOTS", "Field", "Group", "Rule", "decoded", "group_of"]

LARGEST_ROBOTS = 500 * 1024  # bytes; RFC 9309, 2.5: a crawler parses at least 500 KiB

Field = Literal["allow", "disallow", "content-usage", "content-signal", "crawl-delay"]

_END_OF_LINE = re.compile("\r\n|\r|\n")
_TOKEN = re.compile(r"\*(?=[ \t]|$)|[A-Za-z_-]+")
# the spellings that parsers of search engines accept, too: a site that errs so means it; the colon may be missing
_LINE = re.compile(
    r"""[ \t]*(?:
    (?P<agent>user[ \t-]?agent)
    | (?P<disallow>dis{1,2}al{1,2}ow|diasllow|disallaw)
    | (?P<allow>allow)
    | (?P<usage>content-usage)
    | (?P<signal>content-signal)
    | (?P<delay>crawl[ \t-]delay)
    | (?P<other>request-rate|visit-time)
    )(?:[ \t]*:|(?=[ \t]))[ \t]*(?P<value>[^#]*)""",
    re.IGNORECASE | re.VERBOSE,
)
_FIELDS: dict[str, Field] = {
    "disallow": "disallow",
    "allow": "allow",
    "usage": "content-usage",
    "signal": "content-signal",
    "delay": "crawl-delay",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a group: its number from 1, its field, and its value as text."""

    line: int
    field: Field
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """All rules for one crawler; `agent` is the name that was addressed: its own, `*`, or nothing if none was."""

    agent: str
    rules: tuple[Rule, ...]


def decoded(body: bytes) -> str:
    r"""Return the text of a robots.txt: UTF-8, or UTF-16 if its mark says so; at most `LARGEST_ROBOTS` bytes of it.

    Bytes that are no UTF-8 become surrogates, so that a path in Latin-1 is still the path that it names. Of a file
    that is cut, the last line is left out if the cut is in it: half of `Disallow: /private` forbids something else.

    >>> decoded(b"\xef\xbb\xbfAllow: /caf\xe9"), decoded("Allow: /".encode("utf-16"))
    ('Allow: /caf\udce9', 'Allow: /')
    """
    if len(body) > LARGEST_ROBOTS:
        whole, body = body, body[:LARGEST_ROBOTS]
        if whole[LARGEST_ROBOTS : LARGEST_ROBOTS + 1] not in (b"\n", b"\r"):
            body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", "replace")
    return body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def group_of(text: str, product_token: str) -> Group:
    r"""Return the rules for a crawler: those of all groups with its token, else those of all groups for `*`.

    Tokens are compared whole and without case; what follows a token (`mlimg/1.0`) is left out (RFC 9309, 2.2.1), and so
    are asterisks around one (`*mlimg*`), which some sites write. A line
    with a field that is not known neither begins nor ends a group (2.2.4). A rule above all groups is no rule.

    >>> text = "User-agent: a\nDisallow: /x\n\nUser-agent: b\nUser-agent: MLimg/2\nDisallow: /y\nSitemap: s\nAllow: /z"
    >>> group_of(text, "mlimg").agent, [(rule.line, rule.value) for rule in group_of(text, "mlimg").rules]
    ('mlimg', [(6, '/y'), (8, '/z')])
    >>> group_of(text, "c")
    Group(agent='', rules=())
    """
    own, anyone = product_token.lower(), "*"
    rules: dict[str, list[Rule]] = {}
    addressed: set[str] = set()
    names_follow = (
        False  # whether the line before was a user-agent line, so that one more is of the same group
    )
    for number, line in enumerate(_END_OF_LINE.split(text), 1):
        found = _LINE.match(line)
        if not found:
            continue
        value = found["value"].strip(" \t\x00")
        if found.lastgroup and found["agent"]:
            addressed = addressed if names_follow else set()
            names_follow = True
            token = _TOKEN.match(value) or _TOKEN.match(value.replace("*", ""))
            if token and token[0].lower() in (own, anyone):
                addressed.add(token[0].lower())
                rules.setdefault(token[0].lower(), [])
            continue
        names_follow = False
        field = next((name for key, name in _FIELDS.items() if found[key]), None)
        if field and value:
            for name in addressed:
                rules[name].append(Rule(number, field, value))
    for name in (own, anyone):
        if name in rules:
            return Group(name, tuple(rules[name]))
    return Group("", ())
