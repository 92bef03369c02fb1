"""What the status, the first bytes and the failures of an answer mean, as states of a URL."""

from __future__ import annotations

import re
import ssl
import time
from email.utils import parsedate_to_datetime

import aiohttp

from mlimg_build.fetch.names.resolver import AddressRefused, NoSuchHost
from mlimg_build.fetch.outcomes import State
from mlimg_build.sources.image_signatures import kind_of

__all__ = [
    "HEAD_BYTES",
    "REDIRECTS",
    "AnswerRefused",
    "failure_of",
    "not_an_image",
    "pause_of",
    "state_of_status",
]

REDIRECTS = {301, 302, 303, 307, 308}
HEAD_BYTES = 1024  # of a body, by which it is told what it is
LONGEST_ANSWER = 200  # characters
_GONE = {404, 410}
_FORBIDDEN = {401, 402, 403, 407, 451}
_TEMPORARY = {408, 425, 429}
_HEIF_BRANDS = {b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif2", b"msf1"}
_LONGEST_PAUSE = 30 * 86_400.0
_LOST: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ServerDisconnectedError, "connection lost before an answer"),
    (aiohttp.ClientPayloadError, "connection lost in the body"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "connection lost"),
)
_SPACE = b" \t\r\n\f\0"


class AnswerRefused(Exception):
    """An answer is none that is wanted: the state and one line that says why."""

    def __init__(self, state: State, answer: str) -> None:
        super().__init__(answer)
        self.state, self.answer = state, answer


def state_of_status(status: int) -> State:
    """Return the state of a URL by the status of its answer; 200 and 203 bring a body, which is still to be seen.

    >>> state_of_status(200), state_of_status(410), state_of_status(503), state_of_status(206)
    (<State.ok: 0>, <State.gone: 1>, <State.temporary: 4>, <State.odd_answer: 17>)
    """
    if status in (200, 203):
        return State.ok
    if status in _GONE:
        return State.gone
    if status in _FORBIDDEN:
        return State.forbidden
    if status in _TEMPORARY or 500 <= status < 600:
        return State.temporary
    return State.not_an_image if status in (204, 205) else State.odd_answer


def pause_of(value: str | None, now: float | None = None) -> float:
    """Return the seconds for which `Retry-After` asks (RFC 9110, 10.2.3): a number or a date; 0 for anything else.

    >>> pause_of("120"), pause_of("Fri, 31 Dec 1999 23:59:59 GMT", now=946_684_790.0), pause_of("soon"), pause_of(None)
    (120.0, 9.0, 0.0, 0.0)
    """
    if not value:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:12]), _LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return min(max(moment - (time.time() if now is None else now), 0.0), _LONGEST_PAUSE)


def not_an_image(head: bytes) -> str:
    """Return what a body is by its first 1,024 bytes if it is no raster image that mlimg reads, "" if it is one.

    >>> not_an_image(b"\\xff\\xd8\\xff\\xe0"), not_an_image(b"\\n<!DOCTYPE html><p>Gone"), not_an_image(b"")
    ('', 'an HTML page', 'an empty body')
    >>> not_an_image(b"<?xml version='1.0'?><!-- --><svg>"), not_an_image(b"BM>" + bytes(9)), not_an_image(b"hi")
    ('an SVG drawing', '', 'no image: 6869')
    """
    if kind_of(head[:16]) or (head[:2] == b"BM" and head[6:10] == bytes(4)):
        return ""
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return ""
    if not head:
        return "an empty body"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE).lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if text.startswith(b"<") and b"<svg" in text:
        return "an SVG drawing"
    if text.startswith(b"<"):
        return "an HTML page" if b"<html" in text or b"<body" in text or b"<p" in text else "a page of markup"
    if text.startswith((b"%pdf", b"{", b"[")):
        return "a PDF document" if text.startswith(b"%pdf") else "a JSON document"
    return f"no image: {head[:8].hex()}"


def failure_of(error: BaseException) -> tuple[State, str]:
    """Return the state and the answer for an error of a look-up, a connection, TLS or HTTP."""
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    if isinstance(cause, AddressRefused):
        return State.address_refused, _line(cause)
    if isinstance(cause, NoSuchHost):
        return State.no_such_host, "no such host"
    if isinstance(cause, ssl.CertificateError | ssl.SSLError):
        return _tls_failure(cause)
    if isinstance(error, aiohttp.ClientResponseError):
        return _http_failure(error.message)
    if isinstance(error, aiohttp.InvalidURL):
        return State.bad_url, _line(error)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return State.temporary, _line(cause)
    for kind, text in _LOST:
        if isinstance(error, kind) or isinstance(cause, kind):
            return State.temporary, text
    if isinstance(error, OSError):
        return State.temporary, _line(getattr(cause, "strerror", None) or error)
    return State.odd_answer, _line(error) or type(error).__name__


def _http_failure(message: str) -> tuple[State, str]:
    """The parser of aiohttp found no HTTP; its message quotes what came behind a colon or in further lines."""
    if "Expected HTTP/" in message or "after `Connection: close`" in message:
        return State.temporary, "bytes where an answer should begin"
    what = _line(message.strip().partition("\n")[0]).partition(": b'")[0]
    return State.odd_answer, f"no HTTP: {what.rstrip(':')}"


def _tls_failure(error: ssl.SSLError | ssl.CertificateError) -> tuple[State, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return State.tls, f"certificate: {error.verify_message}"[:LONGEST_ANSWER]
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return State.temporary, "connection lost during TLS"
    reason = getattr(error, "reason", None)
    return State.tls, f"TLS: {str(reason).lower().replace('_', ' ') if reason else _line(error)}"


def _line(error: object) -> str:
    """The message of an error in one line; it may quote what a server sent."""
    text = re.sub(r"[^\x20-\x7e]+", " ", str(error)[: 4 * LONGEST_ANSWER]).strip()
    return re.sub(r"^\[[^\]]*\] ", "", text)[:LONGEST_ANSWER]
