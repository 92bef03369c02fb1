"""Asks for one URL once and says what came, whatever the server does.

Decisions: no cookies are kept and no proxy is used, not even one that the environment names, as the proxy would look up
the hosts and nobody would check their addresses. Redirects are handed back to the caller, which queues them at their
own host; from https to http they are followed, as nothing secret is sent and the digest of an image tells whether it is
the one that was there before. `Accept-Encoding: identity` is sent, as images are compressed already.

What aiohttp does by itself: a request whose connection ends before the answer begins is sent once more.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import aiohttp
from yarl import URL

from mlimg_build.fetch.client.answers import REDIRECTS, AnswerRefused, failure_of, pause_of, state_of_status
from mlimg_build.fetch.client.body import drain, read_body, read_image
from mlimg_build.fetch.client.memory_budget import Lease
from mlimg_build.fetch.client.pace import Pace
from mlimg_build.fetch.names.addresses import address_refusal
from mlimg_build.fetch.names.resolver import CheckedResolver, CheckedSockets
from mlimg_build.fetch.names.urls import BadUrl, Url, join_url
from mlimg_build.fetch.outcomes import Outcome, State
from mlimg_build.fetch.settings import FetchSettings

__all__ = ["Answer", "Client", "HeaderRefusal", "Redirect", "tls_context"]

HeaderRefusal = Callable[[Iterable[tuple[str, str]], str], str]
DRAIN_SECONDS = 0.5
LEAVING_SECONDS = 0.1  # a server that does not take leave of TLS could send, and be read, for 30 s by default
LONGEST_LINE = 8190  # bytes of a line of a header; at most 100 of them


@dataclass(frozen=True, slots=True)
class Redirect:
    """The server sends on to another URL."""

    url: Url
    status: int


Answer = Outcome | Redirect


def tls_context(authority_file: str | None = None) -> ssl.SSLContext:
    """Return the one TLS context of a run: certificates and names are checked, TLS 1.2 is the least.

    Raises:
        OSError: the file of further authorities is not there or is no PEM file.
    """
    context = ssl.create_default_context()
    if authority_file is not None:
        context.load_verify_locations(authority_file)
    return context


class Client:
    """A pool of connections and the bounds on each request; made and closed inside a running loop."""

    def __init__(
        self,
        settings: FetchSettings,
        resolver: CheckedResolver,
    ) -> None:
        self._settings = settings
        self._clock = asyncio.get_running_loop().time
        self._resolver = resolver
        self._sockets = CheckedSockets(settings.allowed_networks)
        context = tls_context(settings.authority_file)
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", DeprecationWarning
            )  # of the time for leaving TLS, which has no successor
            connector = aiohttp.TCPConnector(
                limit=0,  # bounded by whoever asks
                ssl=context,
                resolver=resolver,
                use_dns_cache=False,
                keepalive_timeout=settings.keepalive_seconds,
                socket_factory=self._sockets,
                ssl_shutdown_timeout=LEAVING_SECONDS,
            )
        headers = {
            "User-Agent": settings.user_agent,
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        }
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_seconds),
            read_bufsize=256 * 1024,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )

    async def close(self) -> None:
        """Close all connections at once."""
        await self._session.close()
        await self._resolver.close()
        await self._sockets.end()

    async def ask(
        self,
        url: Url,
        lease: Lease,
        *,
        seconds: float,
        keep: bool = True,
        refusal: HeaderRefusal | None = None,
    ) -> Answer:
        """Ask for an image within `seconds`; the lease holds the bytes of a body.

        `keep` keeps the connection for the next request; `refusal` tells of headers that forbid the use of an answer.
        Never raises for what a server or the network does.
        """
        return await self._asked(url, lease, seconds, keep, 0, refusal)

    async def ask_document(self, url: Url, lease: Lease, *, seconds: float, max_bytes: int) -> Answer:
        """Ask for a small file that is no image, such as robots.txt; what is longer is cut after `max_bytes`."""
        return await self._asked(url, lease, seconds, True, max_bytes, None)

    async def _asked(
        self,
        url: Url,
        lease: Lease,
        seconds: float,
        keep: bool,
        document_bytes: int,
        refusal: HeaderRefusal | None,
    ) -> Answer:
        settings = self._settings
        if url.is_address and (why := address_refusal(url.host, settings.allowed_networks)):
            return Outcome(State.address_refused, f"{url.host} is {why}", final_url=url.text)
        now = self._clock()
        waiting = settings.lookup_seconds + settings.connect_seconds + settings.answer_seconds
        pace: Pace | None = None
        answer: Answer | None = None
        try:
            async with asyncio.timeout_at(now + min(waiting, seconds)) as timer:
                pace = Pace(timer, self._clock, now + seconds, settings.min_rate, settings.rate_seconds)
                response = await self._session.get(
                    URL(url.text, encoded=True),
                    allow_redirects=False,
                    headers=None if keep else {"Connection": "close"},
                )
                try:
                    answer = await self._answer(response, url, lease, pace, document_bytes, refusal)
                    if not response.closed and keep:
                        pace.limit(DRAIN_SECONDS)
                        await drain(response)
                finally:
                    _end(response)
        except AnswerRefused as refused:
            answer = Outcome(refused.state, refused.answer, final_url=url.text)
        except aiohttp.ConnectionTimeoutError:
            answer = answer or Outcome(
                State.temporary, f"connect timed out after {settings.connect_seconds:g} s", final_url=url.text
            )
        except TimeoutError:
            answer = answer or _timed_out(pace, url, min(waiting, seconds))
        except (aiohttp.ClientError, OSError, ssl.CertificateError, ValueError) as error:
            if answer is None:
                state, text = failure_of(error)
                answer = Outcome(state, text, final_url=url.text)
        if isinstance(answer, Redirect) or not answer.body:
            lease.free()
        return answer

    async def _answer(
        self,
        response: aiohttp.ClientResponse,
        url: Url,
        lease: Lease,
        pace: Pace,
        document_bytes: int,
        refusal: HeaderRefusal | None,
    ) -> Answer:
        status, headers = response.status, response.headers
        pace.begin_body()
        if status in REDIRECTS and "Location" in headers:
            return self._redirect(url, status, headers["Location"])
        state = state_of_status(status)
        if state != State.ok:
            pause = pause_of(headers.get("Retry-After")) if state == State.temporary else 0.0
            return Outcome(state, str(status), retry_after=pause, final_url=url.text)
        if document_bytes:
            text = await read_body(response, lease, pace, document_bytes, cut=True)
            return Outcome(State.ok, str(status), text, final_url=url.text)
        if refusal is not None and (why := refusal(headers.items(), url.text)):
            return Outcome(State.opted_out, why, final_url=url.text)
        body = await read_image(response, lease, pace, self._settings.max_bytes)
        return Outcome(State.ok, str(status), body, final_url=url.text)

    def _redirect(self, url: Url, status: int, location: str) -> Answer:
        try:
            # a Location in raw bytes is read as UTF-8, as browsers do
            text = location.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            return Redirect(join_url(url, text), status)
        except BadUrl as bad:
            return Outcome(State.bad_redirect, f"{status} to {_shown(location)}: {bad}", final_url=url.text)


def _timed_out(pace: Pace | None, url: Url, waited: float) -> Outcome:
    if pace is not None and pace.stage == "body":
        return Outcome(State.too_slow, pace.slowness(), final_url=url.text)
    return Outcome(State.temporary, f"read timed out after {waited:.3g} s", final_url=url.text)


def _end(response: aiohttp.ClientResponse) -> None:
    """Close the connection of an answer that was not read to its end, without taking leave of its TLS."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
    response.close()


def _shown(location: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in location[:80])
