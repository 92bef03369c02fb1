"""Look-ups of names by `getaddrinfo` in threads of their own.

The threads are daemons, unlike those of an executor: one that hangs in the C library does not keep the process from
ending. A look-up that its asker has given up is passed over by the threads, so that those that hang do not leave a
growing queue behind them.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

__all__ = ["LookUp", "NameThreads", "NoSuchHost", "addresses_of"]

LookUp = Callable[[str], Awaitable[list[str]]]
_ABSENT = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_MOST = 8  # addresses of one host that are kept


class NoSuchHost(OSError):
    """A name does not exist, or has no address: NXDOMAIN or an empty answer."""


def addresses_of(host: str) -> list[str]:
    """Return the addresses of a host as the system knows them, at most 8, in the order of RFC 6724.

    Raises:
        NoSuchHost: the name does not exist.
        OSError: anything else, which may be otherwise later: no server answers, SERVFAIL.

    >>> addresses_of("127.0.0.1")
    ['127.0.0.1']
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        if error.errno in _ABSENT:
            raise NoSuchHost(f"{host}: {error.strerror}") from error
        raise
    except UnicodeError as error:
        raise NoSuchHost(f"{host}: no name of a host") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:_MOST]


class NameThreads:
    """At most `most` look-ups at a time; the threads start when they are needed and end with `close`."""

    def __init__(self, most: int = 32, look_up: Callable[[str], list[str]] = addresses_of) -> None:
        self._most, self._look_up = most, look_up
        self._threads = self._busy = 0
        self._asked: queue.SimpleQueue[tuple[str, asyncio.Future[list[str]]] | None] = queue.SimpleQueue()

    async def __call__(self, host: str) -> list[str]:
        """Return the addresses of a host; cancelling gives up the look-up.

        Raises:
            OSError: as `addresses_of`.
        """
        future: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._asked.put((host, future))
        self._busy += 1
        if self._threads < min(self._busy, self._most):
            self._threads += 1
            threading.Thread(target=self._work, name=f"look-up-{self._threads}", daemon=True).start()
        try:
            return await future
        finally:
            self._busy -= 1

    def close(self) -> None:
        """Let the threads end; one that hangs ends with the process."""
        for _ in range(self._threads):
            self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            host, future = asked
            if future.cancelled():
                continue
            found: list[str] | BaseException
            try:
                found = self._look_up(host)
            except Exception as error:
                found = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future, found)


def _settle(future: asyncio.Future[list[str]], found: list[str] | BaseException) -> None:
    if future.done():
        return
    if isinstance(found, BaseException):
        future.set_exception(found)
    else:
        future.set_result(found)
