"""Short fetches from the hostile server: settings with waits of a fraction of a second, and names that lead to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlimg_build.fetch.fetcher import FetchCounts, fetch
from mlimg_build.fetch.names.addresses import parse_networks
from mlimg_build.fetch.names.lookups import NoSuchHost
from mlimg_build.fetch.outcomes import Outcome
from mlimg_build.fetch.scheduling.sites import Rights
from mlimg_build.fetch.settings import FetchSettings


@dataclass
class Names:
    """Name servers: every host is at 127.0.0.1 but those of `hosts`, whose addresses come one after the other.

    An answer is a list of addresses, an error, or the seconds after which there is none.
    """

    hosts: dict[str, list[list[str] | Exception | float]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        answers = self.hosts.get(host, [["127.0.0.1"]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            raise NoSuchHost(host)
        return answer


def quick(authority: Path | None = None, **changes: Any) -> FetchSettings:
    """Settings for a server on this machine."""
    defaults: dict[str, Any] = {
        "allowed_networks": parse_networks(["127.0.0.0/8"]),
        "authority_file": None if authority is None else str(authority),
        "lookup_seconds": 0.3,
        "connect_seconds": 1.0,
        "answer_seconds": 0.7,
        "deadline_seconds": 6.0,
        "rate_seconds": 0.5,
        "attempts": 1,
        "backoff_seconds": 0.01,
        "max_bytes": 1 << 20,
    }
    return FetchSettings(**(defaults | changes))


@dataclass
class Fetched:
    """The outcome of each URL, in the order in which they came, and the counts."""

    outcomes: dict[str, Outcome]
    counts: FetchCounts
    names: Names

    def states(self) -> list[str]:
        """The names of the states, in order."""
        return [outcome.state.name for outcome in self.outcomes.values()]


def fetched(
    urls: Iterable[str],
    settings: FetchSettings,
    *,
    names: Names | None = None,
    rights: Rights | None = None,
    stop: threading.Event | None = None,
) -> Fetched:
    """Fetch URLs; each gets one outcome."""
    outcomes: dict[str, Outcome] = {}

    def keep(url: str, outcome: Outcome) -> None:
        assert url not in outcomes
        outcomes[url] = outcome

    names = names or Names()
    counts = fetch(((url, url) for url in urls), settings, keep, rights=rights, stop=stop, look_up=names)
    return Fetched(outcomes, counts, names)
