"""Which URLs can be asked, and the one way in which each is written.

The normal form is the key of a URL: scheme and host in lower case, the host as A-labels (RFC 5891) or as an address, no
port that is the scheme's own, a path that is never empty and has no `.` or `..` segments (a rule of robots.txt could be
gone round by them), no fragment. Percent-encoding stays as it is written: `%7E` and `~` are two keys, as a server may
tell them apart. What may not stand in a URL (spaces, quotes, letters beyond ASCII) is percent-encoded as UTF-8, as
browsers do. A URL with a user or a password is refused: whoever reads the dataset would read the password, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote

__all__ = ["LONGEST", "BadUrl", "Url", "domain_of", "join_url", "parse_url"]

LONGEST = 4096  # bytes of a URL in normal form
PORTS = {"http": 80, "https": 443}
_KEPT = "!#$%&'()*+,-./:;=?@[]_~"  # left as they are written
_PLAIN = re.compile(  # most URLs are in normal form already
    r"(https?)://((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z][a-z-]{0,61}[a-z])(:[1-9][0-9]{0,4})?"
    r"(/(?:[A-Za-z0-9_~!$&'()*+,;=:@%-][A-Za-z0-9_~!$&'()*+,;=:@%./-]*)?)?(\?[A-Za-z0-9_~!$&'()*+,;=:@%./?-]*)?"
)
_SHAPE = re.compile(r"(?s)([A-Za-z][A-Za-z0-9+.-]*):(//)?([^/?#\\]*)([^?#]*)(\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(?:(.*)@)?(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]*))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


class BadUrl(ValueError):
    """A text is no URL that can be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Url:
    """A URL in normal form, `text`, and its parts; `host` is an address or a name, an IPv6 address without brackets."""

    text: str
    scheme: str
    host: str
    port: int
    target: str
    is_address: bool = False

    @property
    def origin(self) -> str:
        """Scheme, host and port, as `http://images.example:8080`."""
        return self.text[: len(self.text) - len(self.target)]


def parse_url(text: str) -> Url:
    """Return the URL in normal form.

    Raises:
        BadUrl: another scheme than http and https, no host or one that cannot be, a user, a port of 0 or over 65,535,
            control characters, over 4,096 bytes.

    >>> parse_url("HTTP://Bücher.example:80/ä b.jpg#top").text
    'http://xn--bcher-kva.example/%C3%A4%20b.jpg'
    >>> parse_url("http://0x7f.1/a/../b").text, parse_url("https://a.example:8443?q").origin
    ('http://127.0.0.1/b', 'https://a.example:8443')
    """
    if (plain := _PLAIN.fullmatch(text)) and len(text) <= LONGEST:
        scheme, host, port, path, _ = plain.groups()
        number = PORTS[scheme] if port is None else int(port[1:])
        is_normal = (
            path and ("/." not in path and "/%2" not in path) and "xn--" not in host and len(host) <= 253
        )
        if is_normal and (port is None or PORTS[scheme] != number < 65_536):
            return Url(text, scheme, host, number, text[plain.start(4) :])
    return _parse(text.strip(" \t\r\n\f"))


def join_url(base: Url, location: str) -> Url:
    """Return the URL to which a `Location` leads (RFC 3986, 5.2; RFC 9110, 10.2.2).

    Raises:
        BadUrl: as `parse_url`.

    >>> base = parse_url("http://a.example/b/c?d")
    >>> join_url(base, "../e").text, join_url(base, "//b.example").text, join_url(base, "?f").text
    ('http://a.example/e', 'http://b.example/', 'http://a.example/b/c?f')
    """
    location = location.strip(" \t\r\n\f")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", location):
        return parse_url(location)
    if location.startswith(("//", "\\\\", "/\\", "\\/")):
        return _parse(f"{base.scheme}://{location[2:]}")
    path = base.target.partition("?")[0]
    if location.startswith(("/", "\\")):
        return _parse(base.origin + location)
    if location.startswith("?"):
        return _parse(base.origin + path + location)
    if location.startswith("#") or not location:
        return base
    return _parse(base.origin + path[: path.rfind("/") + 1] + location)


def domain_of(url: str) -> str:
    """Return the host of a URL without `www.`, "" if the URL is none.

    >>> domain_of("https://www.Photos.example:8443/1.jpg"), domain_of("1.jpg")
    ('photos.example', '')
    """
    try:
        return parse_url(url).host.removeprefix("www.")
    except BadUrl:
        return ""


def _parse(text: str) -> Url:
    if len(text) > 4 * LONGEST:
        raise BadUrl(f"over {LONGEST:,} bytes")
    if _CONTROL.search(text):
        raise BadUrl("a control character")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise BadUrl("no scheme")
    scheme = shape[1].lower()
    if scheme not in PORTS:
        raise BadUrl(f"the scheme {scheme[:20]}: only http and https")
    authority = _AUTHORITY.fullmatch(shape[3])
    if not shape[2] or authority is None:
        raise BadUrl("no host")
    if authority[1] is not None:
        raise BadUrl("a user or password before the host")
    host, is_address = _host(authority[2])
    port = _port(authority[3], scheme)
    path = _path(shape[4] or "/")
    target = path + _encoded(shape[5] or "")
    written = f"[{host}]" if ":" in host else host
    suffix = "" if port == PORTS[scheme] else f":{port}"
    normal = f"{scheme}://{written}{suffix}{target}"
    if len(normal) > LONGEST:
        raise BadUrl(f"over {LONGEST:,} bytes")
    return Url(normal, scheme, host, port, target, is_address)


def _port(digits: str | None, scheme: str) -> int:
    if not digits:
        return PORTS[scheme]
    port = int(digits[:9])
    if not 0 < port < 65_536 or len(digits) > 9:
        raise BadUrl(f"port {digits[:9]}")
    return port


@lru_cache(maxsize=4096)
def _host(text: str) -> tuple[str, bool]:
    """The host in normal form, and whether it is an address; `127.1` and `0x7f000001` are addresses, too."""
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1].partition("%")[0])), True
        except AddressValueError:
            raise BadUrl("no IPv6 address in the brackets") from None
    name = text.lower() if text.isascii() else _ascii_host(text)
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadUrl("the host is no name of a host" if name else "no host")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(labels), True
    if "xn--" in name:
        _ascii_host(name)
    return name, False


def _ascii_host(text: str) -> str:
    import idna  # noqa: PLC0415  comes with aiohttp, and few hosts need it

    try:
        return idna.encode(text.removesuffix("."), uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        if text.isascii() and text.isprintable():
            return text  # a label that breaks IDNA 2008 and may exist all the same; DNS will tell
        if re.fullmatch(r"[0-9０-９.。．]+", text):  # noqa: RUF001  digits in full width
            return text.translate(
                {0xFF10 + digit: 48 + digit for digit in range(10)} | {0x3002: 46, 0xFF0E: 46}
            )
        raise BadUrl("the host is no name of a host") from None


def _ipv4(labels: list[str]) -> str:
    """An IPv4 address of 1 to 4 numbers, decimal, octal or hexadecimal (inet_aton; WHATWG URL, 3.5)."""
    try:
        numbers = [_number(label) for label in labels]
    except ValueError:
        raise BadUrl("the host ends in a number and is no address") from None
    *front, last = numbers
    if len(numbers) > 4 or any(number > 255 for number in front) or last >= 256 ** (5 - len(numbers)):
        raise BadUrl("the host ends in a number and is no address")
    value = last + sum(number << 24 - 8 * index for index, number in enumerate(front))
    return str(IPv4Address(value))


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8 if len(label) > 1 and label.startswith("0") else 10)


def _encoded(text: str) -> str:
    return quote(text, safe=_KEPT, errors="replace")


def _path(text: str) -> str:
    """A path that is percent-encoded where it must be, without `.` and `..` segments (RFC 3986, 5.2.4)."""
    path = _encoded(text.replace("\\", "/") if "\\" in text else text)
    if not _DOTS.search(path):
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain == ".." and kept:
            kept.pop()
        if plain not in (".", ".."):
            kept.append(segment)
        elif index == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)
