"""Fetches many URLs at a time from code that is not asynchronous: bounded, fair to hosts, stopped within a second."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TypeVar

from mlimg_build.fetch.client.client import Client
from mlimg_build.fetch.client.loop_messages import without_connection_messages
from mlimg_build.fetch.client.memory_budget import MemoryBudget
from mlimg_build.fetch.client.open_files import raise_open_files
from mlimg_build.fetch.names.lookups import LookUp, NameThreads
from mlimg_build.fetch.names.resolver import CheckedResolver
from mlimg_build.fetch.outcomes import Outcome
from mlimg_build.fetch.scheduling.crew import Crew, FetchCounts
from mlimg_build.fetch.scheduling.sites import Rights
from mlimg_build.fetch.settings import FetchSettings

__all__ = ["FetchCounts", "fetch", "new_event_loop"]

K = TypeVar("K")
OnOutcome = Callable[[K, Outcome], Awaitable[None] | None]


def fetch(
    requests: Iterable[tuple[K, str]] | AsyncIterable[tuple[K, str]],
    settings: FetchSettings,
    on_outcome: OnOutcome[K],
    *,
    rights: Rights | None = None,
    stop: threading.Event | None = None,
    look_up: LookUp | None = None,
) -> FetchCounts:
    """Ask for every URL of `requests`, pairs of a key and a URL, and call `on_outcome` with the key and what came.

    `on_outcome` is called once a request, in this thread and in the order in which answers come; the bytes of a body
    count as memory until it returns, or until what it returns has been awaited. An iterable is read in this thread, up
    to `settings.waiting` URLs ahead, and should not block. When `stop` is set, or on Ctrl-C, requests under way are
    dropped and those without an outcome get none.

    Raises:
        KeyboardInterrupt: on Ctrl-C, after everything is closed.
        OSError: `authority_file` cannot be read.
        Exception: what `requests` or `on_outcome` raised; the fetch ends with it.
    """
    with (
        asyncio.Runner(loop_factory=new_event_loop) as runner,
        without_connection_messages(runner.get_loop()),
    ):
        return runner.run(_fetch(requests, settings, on_outcome, rights, stop, look_up))


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop if that is installed, else of asyncio."""
    try:
        import uvloop  # noqa: PLC0415  an extra that does not exist for every system
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


async def _fetch(
    requests: Iterable[tuple[K, str]] | AsyncIterable[tuple[K, str]],
    settings: FetchSettings,
    on_outcome: OnOutcome[K],
    rights: Rights | None,
    stop: threading.Event | None,
    look_up: LookUp | None,
) -> FetchCounts:
    raise_open_files(4 * settings.concurrency + 1024)
    threads = NameThreads(settings.lookups)
    resolver = CheckedResolver(
        look_up or threads,
        allowed=settings.allowed_networks,
        seconds=settings.lookup_seconds,
        most=settings.lookups,
    )
    budget = MemoryBudget(settings.memory_bytes)
    client = Client(settings, resolver)
    try:
        return await Crew(client, budget, settings, on_outcome, rights).run(requests, stop)
    finally:
        threads.close()
        await client.close()
