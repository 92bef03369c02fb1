"""Patterns of paths as robots.txt and tdmrep.json write them: a prefix, `*` for anything, `$` for the end.

RFC 9309, 2.2.2 and 2.2.3; TDMRep refers to the same text. Both sides of a comparison are written in one way first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LONGEST_PATH", "PathPattern", "canonical_path", "path_of_url"]

LONGEST_PATH = 8192  # characters of a URL that is matched; RFC 9110 (4.1) asks for at least 8000 octets

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})|([^A-Za-z0-9\-._~/])")
_PATTERN_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})|([^A-Za-z0-9\-._~/*])")
_CANONICAL = re.compile(r"[A-Za-z0-9\-._~/]*+")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_path(text: str, *, pattern: bool = False) -> str:
    r"""Return the path and query in the one spelling in which paths are compared.

    Unreserved characters (RFC 3986, 2.3) stand for themselves, all others but `/` are `%XX`; so an escape and the
    character that it stands for are equal, but for `%2F`, which equals `/` in the query only (the second example of RFC
    9309, 2.2.2). In a pattern, `*` and a `$` at the end stay what they mean. Bytes that were no UTF-8 may come as
    surrogates (`surrogateescape`) and are escaped as the bytes they were.

    >>> canonical_path("/foo/bar/%62%61%7a?q=ツ"), canonical_path("/a*/b$c$", pattern=True)
    ('/foo/bar/baz%3Fq%3D%E3%83%84', '/a*/b%24c$')
    >>> canonical_path("/a%2fb?c=d%2fe"), canonical_path("/caf\udce9")
    ('/a%2Fb%3Fc%3Dd/e', '/caf%E9')
    """
    if _CANONICAL.fullmatch(text):
        return text
    end = "$" if pattern and text.endswith("$") else ""
    path, mark, query = _octets(text.removesuffix("$") if end else text).partition(b"?")
    escape = _PATTERN_ESCAPE if pattern else _ESCAPE
    written = escape.sub(_one_escape, path)
    if mark:
        written += b"%3F" + escape.sub(_one_escape, query).replace(b"%2F", b"/")
    return written.decode("ascii") + end


def path_of_url(url: str) -> str:
    """Return the canonical path and query of a URL: no scheme, no authority, no fragment, and `/` if it is empty.

    >>> path_of_url("https://example.org?a=1#b"), path_of_url("http://example.org//x/../y")
    ('/%3Fa%3D1', '//x/../y')
    """
    url = url.partition("#")[0]
    start = url.find("://")
    if start >= 0:
        ends = [found for found in (url.find("/", start + 3), url.find("?", start + 3)) if found >= 0]
        url = url[min(ends) :] if ends else ""
    return canonical_path(url if url.startswith("/") else f"/{url}")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern: its canonical spelling, the texts between its asterisks, and whether its end is anchored.

    >>> PathPattern.parse("/img/*.jpg$").matches("/img/a/b.jpg"), PathPattern.parse("/*.php").matches("/a.php%3Fb")
    (True, True)
    >>> PathPattern.parse("/img/*.jpg$").matches("/img/a.jpg%3Fs"), PathPattern.parse("img").matches("/img")
    (False, False)
    """

    text: str
    parts: tuple[str, ...]
    anchored: bool

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Parse what a rule has as its path."""
        written = canonical_path(text, pattern=True)
        body = written.removesuffix("$")
        parts = tuple(re.sub(r"\*+", "*", body).split("*")) if "*" in body else (body,)
        return cls(written, parts, body != written)

    @property
    def length(self) -> int:
        """The octets of the encoded pattern, which tell which of two rules is the more specific (RFC 9309, 2.2.2)."""
        return len(self.text)

    @property
    def plain(self) -> bool:
        """Whether the pattern is a mere prefix."""
        return len(self.parts) == 1 and not self.anchored

    @property
    def can_match(self) -> bool:
        """Whether the pattern can match a path at all: it starts with `/` or with an asterisk."""
        return self.parts[0].startswith("/") or (len(self.parts) > 1 and not self.parts[0])

    def matches(self, path: str) -> bool:
        """Whether a canonical path matches.

        Each part is searched once, from the end of the part before it: no backtracking, so the time is at most the
        product of the lengths of path and part, whatever the pattern.
        """
        first, *others = self.parts
        if not path.startswith(first):
            return False
        if not others:
            return not self.anchored or len(path) == len(first)
        at = len(first)
        for part in others[:-1]:
            found = path.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        if self.anchored:
            return len(path) - len(others[-1]) >= at and path.endswith(others[-1])
        return path.find(others[-1], at) >= 0


def _octets(text: str) -> bytes:
    """The UTF-8 of a text; a surrogate is the byte that it was escaped from, or else its own three bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _one_escape(found: re.Match[bytes]) -> bytes:
    digits, octet = found.groups()
    code = int(digits, 16) if digits else octet[0]
    return bytes((code,)) if code in _PLAIN else b"%%%02X" % code
