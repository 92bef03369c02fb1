"""Asks for URLs, keeps what came in a store and what did not in the ledger: the work of one process."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from mlimg_build.atomic import explaining_full_disk
from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.outcomes import Outcome, State
from mlimg_build.fetch.store.content_store import open_content_store
from mlimg_build.fetch.store.ledger_log import Record, logged_since, new_log

__all__ = ["FetchWork", "collect", "missing_client", "require_client"]

Tell = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchWork:
    """URLs to ask for, where what came is kept, and how it is asked for.

    `signals` are those of rights that are obeyed. The numbers are those of `FetchSettings`, in seconds and bytes; the
    origins in `shared` are asked by as many as `sharing` processes at a time, of which this one is number `turn`. URLs
    that were asked for at `since` (seconds since 1970) or later are not asked for again, so that a task that is done
    anew, as its worker was killed, goes on where that one was. `networks` are allowed though they are private,
    `name_servers` are asked instead of the system's.
    """

    store: str
    ledger: Path
    urls: tuple[str, ...]
    signals: tuple[str, ...]
    contact: str
    max_bytes: int
    concurrency: int
    per_host: int
    connect_seconds: float
    deadline_seconds: float
    min_rate: float
    attempts: int
    shared: frozenset[str] = frozenset()
    sharing: int = 1
    turn: int = 0
    since: float = 0.0
    networks: tuple[str, ...] = ()
    authorities: str | None = None
    name_servers: tuple[str, ...] = ()


def missing_client() -> Problem | None:
    """Return the warning `fetch-missing` if the libraries that fetch are not installed, else None."""
    lacking = [name for name in ("aiohttp", "protego") if find_spec(name) is None]
    if not lacking:
        return None
    message = f"images at URLs are not fetched: {' and '.join(lacking)} is not installed"
    hint = "pip install 'mlimg[fetch]', or --offline to build without them"
    return Problem("fetch-missing", message, hint=hint, severity="warning")


def require_client() -> None:
    """Raises `BuildError` `fetch-missing` if the libraries that fetch are not installed."""
    problem = missing_client()
    if problem is not None:
        raise BuildError(replace(problem, severity="error"))


def collect(work: FetchWork, tell: Tell) -> None:
    """Ask for every URL of the work; each outcome is in the log of the ledger, and its bytes in the store before it.

    `tell` is called with (1, bytes, 0 or 1 for a failure) for each. On Ctrl-C what was in the air is dropped.

    Raises:
        BuildError: `store-unusable`, `fetch-missing`, or `authorities-unreadable`.
        TransientError: `store-unreadable` if an object store does not take what came.
    """
    require_client()
    from mlimg_build.fetch.fetcher import fetch  # noqa: PLC0415  the extra `fetch`
    from mlimg_build.fetch.names.addresses import parse_networks  # noqa: PLC0415
    from mlimg_build.fetch.names.name_servers import look_up_at  # noqa: PLC0415
    from mlimg_build.fetch.settings import FetchSettings  # noqa: PLC0415
    from mlimg_build.fetch.site_signals import SiteSignals  # noqa: PLC0415

    settings = FetchSettings(
        concurrency=work.concurrency,
        per_host=work.per_host,
        connect_seconds=work.connect_seconds,
        deadline_seconds=work.deadline_seconds,
        min_rate=work.min_rate,
        max_bytes=work.max_bytes,
        attempts=work.attempts,
        shared=work.shared,
        sharing=work.sharing,
        turn=work.turn,
        allowed_networks=parse_networks(work.networks),
        contact=work.contact,
        authority_file=work.authorities,
    )
    _require_authorities(work.authorities)
    store = open_content_store(work.store)
    done = logged_since(work.ledger, work.since)
    with explaining_full_disk(work.ledger), new_log(work.ledger) as log:

        def keep(url: str, outcome: Outcome) -> None:
            digest, size = "", 0
            if outcome.state == State.ok:
                digest, size = store.write(outcome.body), len(outcome.body)
            elif outcome.state == State.too_large:
                size = work.max_bytes
            record = Record(
                url,
                outcome.state,
                outcome.answer,
                digest,
                size,
                outcome.attempts,
                time.time(),
                work.signals,
            )
            log.append(record)
            tell(1, len(outcome.body), int(outcome.state != State.ok))

        fetch(
            ((url, url) for url in work.urls if url not in done),
            settings,
            keep,
            rights=SiteSignals(work.signals) if work.signals else None,
            look_up=look_up_at(work.name_servers) if work.name_servers else None,
        )


def _require_authorities(path: str | None) -> None:
    """Raises `BuildError` `authorities-unreadable` if the file of further authorities holds no certificates."""
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is one, too
        message = f"the authorities in {path} cannot be read: {error.strerror or error}"
        hint = "fetch.authorities of the backend is a PEM file of certificates"
        raise BuildError(Problem("authorities-unreadable", message, hint=hint)) from error
