"""What sites say before they are asked: documents fetched once an origin, and the rules read from them.

`Rights` is the seam to the functions that read the documents. Whoever asks for a URL of an origin whose rules are not
known yet is parked here without holding a slot.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mlimg_build.fetch.outcomes import State

__all__ = ["Document", "Rights", "SiteDocument", "SiteFailure", "SiteRules", "Sites"]

T = TypeVar("T")
REMEMBERED = 16_384  # origins whose rules are kept


@dataclass(frozen=True, slots=True)
class SiteDocument:
    """A file to ask an origin for: its path, the most bytes of it that are read, and whether nothing goes without it.

    Without a file that is required and fails (5xx, 429, no connection) no URL of the origin is asked, as RFC 9309
    (2.3.1.4) wants for robots.txt; any other file that fails is left to `site_rules`.
    """

    path: str
    max_bytes: int = 512 * 1024
    required: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """What came for a `SiteDocument`: the status of the last answer, 0 if none came, and the body of a 200."""

    status: int
    body: bytes = b""


class SiteRules(Protocol):
    """The rules of one origin, for what is asked and for what it answers."""

    @property
    def crawl_delay(self) -> float:
        """Seconds from one request to the next, 0 if the origin asks for none."""

    def refusal(self, url: str) -> str:
        """Return the rule that forbids a URL and where it stands, "" if the URL may be asked."""

    def header_refusal(self, headers: Iterable[tuple[str, str]], url: str) -> str:
        """Return the header that forbids the use of an answer, "" if none does; a pair is one field line."""


class Rights(Protocol):
    """What is asked of every origin, and how what comes is read."""

    @property
    def documents(self) -> tuple[SiteDocument, ...]:
        """The files to ask every origin for."""

    def site_rules(self, origin: str, documents: Mapping[str, Document]) -> SiteRules:
        """Return the rules of an origin, `http://images.example`, by the documents that came, by path."""


@dataclass(frozen=True, slots=True)
class SiteFailure:
    """Why an origin's rules are not known: its URLs get this state and answer until `until`."""

    state: State
    answer: str
    until: float


class Sites(Generic[T]):
    """The rules of origins, those asked last first to stay, and who waits for them."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, SiteRules | SiteFailure] = OrderedDict()
        self._parked: dict[str, list[T]] = {}

    def known(self, origin: str, now: float) -> SiteRules | SiteFailure | None:
        """Return what is known of an origin, None if it has to be asked (again)."""
        known = self._known.get(origin)
        if known is None:
            return None
        if isinstance(known, SiteFailure) and known.until <= now:
            del self._known[origin]
            return None
        self._known.move_to_end(origin)
        return known

    def park(self, origin: str, item: T) -> bool:
        """Keep who waits for an origin's rules; return whether it is the first, so that somebody must ask."""
        parked = self._parked.setdefault(origin, [])
        parked.append(item)
        return len(parked) == 1

    def settle(self, origin: str, known: SiteRules | SiteFailure) -> list[T]:
        """Note what is known of an origin; return who waited for it."""
        self._known[origin] = known
        self._known.move_to_end(origin)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._parked.pop(origin, [])
