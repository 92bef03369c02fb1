"""Resolves hosts once, checks every address, and hands the checked addresses to the connection.

The connection goes to an address of the answer that was checked, so that a name that changes its address between check
and use (DNS rebinding) gains nothing. Answers are kept for a time: `getaddrinfo` does not tell how long they hold.
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

from mlimg_build.fetch.names.addresses import Network, address_refusal
from mlimg_build.fetch.names.lookups import LookUp, NoSuchHost

__all__ = ["AddressRefused", "CheckedResolver", "CheckedSockets", "NoSuchHost"]

FOUND_SECONDS = 300.0  # an answer is kept; a host that moves is found after that
ABSENT_SECONDS = 300.0
FAILED_SECONDS = 5.0
ENDING = 50  # looks, 0.01 s apart, whether connections have ended
MOST_HOSTS = 65_536  # that are remembered


class AddressRefused(OSError):
    """All addresses of a host are such as may not be asked."""


@dataclass(slots=True)
class _Known:
    """What is known of a host until `until` (seconds of the loop's clock): addresses, or the error."""

    until: float
    addresses: list[str]
    error: OSError | None = None


class CheckedResolver(AbstractResolver):
    """Resolver of aiohttp: one look-up a host however many ask, each within `seconds`, `most` at a time."""

    def __init__(
        self,
        look_up: LookUp,
        *,
        allowed: tuple[Network, ...] = (),
        seconds: float = 10.0,
        most: int = 32,
    ) -> None:
        self._look_up, self._allowed, self._seconds = look_up, allowed, seconds
        self._slots = asyncio.Semaphore(most)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._running: dict[str, asyncio.Task[_Known]] = {}
        self.lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host that may be asked.

        Raises:
            NoSuchHost: the name does not exist.
            AddressRefused: none of its addresses may be asked.
            OSError: the look-up failed or took too long, and may not the next time.
        """
        known = await self._ask(host)
        if known.error is not None:
            raise type(known.error)(*known.error.args)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in known.addresses
        ]

    async def close(self) -> None:
        """Give up the look-ups that are under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, host: str) -> _Known:
        known = self._known.get(host)
        if known is not None and known.until > asyncio.get_running_loop().time():
            self._known.move_to_end(host)
            return known
        task = self._running.get(host)
        if task is None:
            task = asyncio.create_task(self._find(host))
            self._running[host] = task
            task.add_done_callback(lambda _: self._running.pop(host, None))
        return await asyncio.shield(task)  # one asker that gives up takes nothing from the others

    async def _find(self, host: str) -> _Known:
        loop = asyncio.get_running_loop()
        async with self._slots:
            self.lookups += 1
            try:
                async with asyncio.timeout(self._seconds):
                    addresses = await self._look_up(host)
                known = self._checked(host, addresses, loop.time())
            except NoSuchHost as error:
                known = _Known(loop.time() + ABSENT_SECONDS, [], error)
            except TimeoutError:
                late = OSError(f"no answer of DNS within {self._seconds:g} s")
                known = _Known(loop.time() + FAILED_SECONDS, [], late)
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                known = _Known(loop.time() + FAILED_SECONDS, [], OSError(f"DNS: {reason}"))
        self._known[host] = known
        if len(self._known) > MOST_HOSTS:
            self._known.popitem(last=False)
        return known

    def _checked(self, host: str, addresses: list[str], now: float) -> _Known:
        if not addresses:
            raise NoSuchHost(f"{host}: no address")
        refusals = {address: address_refusal(address, self._allowed) for address in addresses}
        if asked := [address for address, why in refusals.items() if not why]:
            return _Known(now + FOUND_SECONDS, asked)
        address, why = next(iter(refusals.items()))
        return _Known(now + FOUND_SECONDS, [], AddressRefused(f"{address} is {why}"))


class CheckedSockets:
    """Makes the sockets of the connections: the last place at which an address is seen before it is asked."""

    def __init__(self, allowed: tuple[Network, ...]) -> None:
        self._allowed = allowed
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def __call__(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """Return a socket for an entry of `getaddrinfo`.

        Raises:
            AddressRefused: the address may not be asked; it came round the resolver, as an address in a URL does.
        """
        family, kind, protocol, _, address = info
        if why := address_refusal(str(address[0]), self._allowed):
            raise AddressRefused(f"{address[0]} is {why}")
        made = socket.socket(family, kind, protocol)
        self._made.add(made)
        return made

    async def end(self) -> None:
        """End all connections that are still open; a server that does not take leave of TLS is not waited for.

        A loop that is closed while some are open leaves them open.
        """
        for _ in range(ENDING):
            still = [one for one in self._made if one.fileno() >= 0]
            if not still:
                return
            for one in still:
                with suppress(OSError):  # it was never connected, or ends by itself
                    one.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(0.01)
