"""The settings of a fetch: bounds on what is asked at a time, on every wait and on every size."""

from __future__ import annotations

from dataclasses import dataclass

from mlimg_build import __version__
from mlimg_build.fetch.names.addresses import Network

__all__ = ["FetchSettings"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How URLs are asked for; times are in seconds, sizes in bytes.

    `concurrency` requests run at a time, at most `per_host` of them with one host (scheme, name and port); fewer while
    the host is in trouble. `waiting` URLs are read ahead, so that a host that is slow leaves others to be asked.

    A look-up of a name ends after `lookup_seconds`, a connection with its TLS after `connect_seconds`, and the head of
    an answer must be there `answer_seconds` after both could have ended. All requests of one attempt, redirects
    included, take at most `deadline_seconds`, time in queues not counted. A body must bring `min_rate` bytes a second
    over each `rate_seconds`, and ends at `max_bytes`. Bodies in memory take at most `memory_bytes` and one body more.

    A URL whose state is temporary is asked `attempts` times in all, after pauses that are drawn between 0 and
    `backoff_seconds` times 2, 4, …; a server's `Retry-After` is waited for up to `retry_after_seconds` and else left
    to the next run. After `failures` failures in a row a host rests for `rest_seconds`, then twice as long, up to 16
    times: its URLs get the state of the last failure without being asked.

    `allowed_networks` are asked although they are not globally reachable. `contact` (a URL or a mail address) stands in
    the User-Agent. `authority_file` is a PEM file of certificates that are trusted besides those of the system.

    The origins in `shared` are asked by `sharing` processes at a time, of which this is number `turn`, from 0: each
    waits so many times as long between two requests as a site asks for (Crawl-delay), and begins in its turn.
    """

    concurrency: int = 256
    per_host: int = 16
    waiting: int = 65_536
    lookups: int = 32
    lookup_seconds: float = 10.0
    connect_seconds: float = 10.0
    answer_seconds: float = 20.0
    deadline_seconds: float = 60.0
    min_rate: float = 1000.0
    rate_seconds: float = 10.0
    max_bytes: int = 64 * MIB
    memory_bytes: int = 256 * MIB
    redirects: int = 5
    attempts: int = 3
    backoff_seconds: float = 1.0
    retry_after_seconds: float = 60.0
    failures: int = 10
    rest_seconds: float = 60.0
    keepalive_seconds: float = 10.0
    allowed_networks: tuple[Network, ...] = ()
    contact: str = ""
    shared: frozenset[str] = frozenset()
    sharing: int = 1
    turn: int = 0
    authority_file: str | None = None

    def __post_init__(self) -> None:
        """Refuse settings that could ask for nothing or wait for ever.

        Raises:
            ValueError: a number is below its least, or the contact would break a header.
        """
        for name in (
            "concurrency",
            "per_host",
            "waiting",
            "lookups",
            "attempts",
            "max_bytes",
            "failures",
            "sharing",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is below 1")
        for name in ("lookup", "connect", "answer", "deadline", "rate"):
            if not 0 < getattr(self, f"{name}_seconds") < 86_400:
                raise ValueError(f"{name}_seconds is not between 0 and a day")
        if not self.contact.isascii() or not self.contact.isprintable():
            raise ValueError("contact has characters that a header cannot have")

    @property
    def user_agent(self) -> str:
        """What servers are told of who asks.

        >>> FetchSettings(contact="https://lab.example/crawl").user_agent.partition("/")[0]
        'mlimg'
        """
        return f"mlimg/{__version__}" + (f" (+{self.contact})" if self.contact else "")
