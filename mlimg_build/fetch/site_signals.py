"""The signals of rights that a fetch obeys, as the client asks sites for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlimg_build.fetch.decisions import SIGNALS
from mlimg_build.fetch.rights.response_headers import header_refusal
from mlimg_build.fetch.rights.robots import Robots, read_robots
from mlimg_build.fetch.rights.signals import Refusal, RightsPolicy
from mlimg_build.fetch.rights.tdm import TDMREP_PATH, TdmFile, read_tdmrep
from mlimg_build.fetch.scheduling.sites import Document, SiteDocument

__all__ = ["SiteSignals"]

ROBOTS_PATH = "/robots.txt"


@dataclass(frozen=True, slots=True)
class _OriginSignals:
    """The rules of one origin.

    A file of TDM reservations is kept for the headers, which supersede it: a URL that it alone reserves is refused at
    once only if no header could say otherwise, which nobody knows before the answer. So it is asked for, and refused by
    `header_refusal`.
    """

    policy: RightsPolicy
    robots: Robots
    tdm: TdmFile

    @property
    def crawl_delay(self) -> float:
        return self.robots.crawl_delay or 0.0

    def refusal(self, url: str) -> str:
        return _told(self.robots.refusal(url))

    def header_refusal(self, headers: Iterable[tuple[str, str]], url: str) -> str:
        reservation = self.tdm.reservation(url) if self.tdm.rules else None
        return _told(header_refusal(headers, self.policy, reservation))


class SiteSignals:
    """Asks each origin for robots.txt and tdmrep.json as far as `signals` (of `SIGNALS`) are obeyed."""

    def __init__(self, signals: Iterable[str]) -> None:
        obeyed = frozenset(signals)
        self.policy = RightsPolicy(
            **{name.replace("-", "_"): "obey" if name in obeyed else "ignore" for name in SIGNALS}
        )
        self.documents = self._documents()

    def _documents(self) -> tuple[SiteDocument, ...]:
        """Return the files to ask every origin for."""
        policy, wanted = self.policy, []
        if policy.robots == "obey" or policy.content_usage == "obey":
            wanted.append(SiteDocument(ROBOTS_PATH, required=policy.robots == "obey"))
        if policy.tdm == "obey":
            wanted.append(SiteDocument(TDMREP_PATH, required=False))
        return tuple(wanted)

    def site_rules(self, origin: str, documents: Mapping[str, Document]) -> _OriginSignals:
        """Return the rules of an origin, by the documents that came."""
        absent = Document(404)
        robots = documents.get(ROBOTS_PATH, absent)
        tdm = documents.get(TDMREP_PATH, absent)
        return _OriginSignals(
            self.policy,
            read_robots(robots.status or None, robots.body, self.policy),
            read_tdmrep(tdm.status or None, tdm.body),
        )


def _told(refusal: Refusal | None) -> str:
    return "" if refusal is None else f"{refusal.signal}: {refusal.evidence}"
