"""Asks an origin for its documents, redirects followed, and reads its rules from them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from mlimg_build.fetch.client.client import Client, Redirect
from mlimg_build.fetch.client.memory_budget import Lease, MemoryBudget
from mlimg_build.fetch.names.urls import Url, join_url
from mlimg_build.fetch.outcomes import Outcome, State
from mlimg_build.fetch.scheduling.sites import Document, Rights, SiteDocument, SiteFailure, SiteRules
from mlimg_build.fetch.settings import FetchSettings

__all__ = ["SiteAnswer", "SiteQuestion", "ask_site"]

LARGE = 50_000  # bytes of documents, which are read in 0.1 s
_UNREACHABLE = {State.temporary, State.too_slow, State.tls, State.no_such_host, State.address_refused}


@dataclass(slots=True, eq=False)
class SiteQuestion:
    """The question for the rules of the origin of `url`."""

    url: Url
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """The rules or why there are none; state, answer and pause of the last request that the origin itself answered."""

    known: SiteRules | SiteFailure
    state: State
    answer: str
    retry_after: float
    requests: int


async def ask_site(
    client: Client, budget: MemoryBudget, settings: FetchSettings, rights: Rights, question: SiteQuestion
) -> SiteAnswer:
    """Return what the documents of an origin say; never raises for what a server does.

    Redirects are followed wherever they lead, as RFC 9309 (2.3.1.2) wants, in the slot of the origin.
    """
    documents: dict[str, Document] = {}
    requests = 0
    last = Outcome(State.ok, "")
    for wanted in rights.documents:
        outcome, asked = await _ask_document(
            client, budget, settings, join_url(question.url, wanted.path), wanted
        )
        requests += asked
        last = outcome
        status = int(outcome.answer[:3]) if outcome.answer[:3].isdigit() else 0
        if wanted.required and (outcome.state in _UNREACHABLE or not status):
            state = outcome.state if outcome.state in _UNREACHABLE else State.temporary
            answer = f"{wanted.path}: {outcome.answer}"
            until = asyncio.get_running_loop().time() + settings.rest_seconds
            failure = SiteFailure(state, answer, until)
            return SiteAnswer(failure, state, answer, outcome.retry_after, requests)
        documents[wanted.path] = Document(status, outcome.body)
    if sum(len(document.body) for document in documents.values()) > LARGE:  # others go on meanwhile
        rules = await asyncio.to_thread(rights.site_rules, question.url.origin, documents)
    else:
        rules = rights.site_rules(question.url.origin, documents)
    return SiteAnswer(rules, State.ok, last.answer, 0.0, requests)


async def _ask_document(
    client: Client, budget: MemoryBudget, settings: FetchSettings, url: Url, wanted: SiteDocument
) -> tuple[Outcome, int]:
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.deadline_seconds
    for asked in range(1, settings.redirects + 2):
        lease = Lease(budget)
        try:
            answer = await client.ask_document(
                url, lease, seconds=end - loop.time(), max_bytes=wanted.max_bytes
            )
        finally:
            lease.free()
        if not isinstance(answer, Redirect):
            if answer.state in _UNREACHABLE and asked > 1:  # not the fault of the origin
                answer = Outcome(State.temporary, f"redirected to {url.host}: {answer.answer}")
            return answer, asked
        if loop.time() >= end:
            break
        url = answer.url
    return Outcome(State.bad_redirect, "302: too many redirects"), settings.redirects + 1
