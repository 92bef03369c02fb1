"""The tasks that ask: who is next, what becomes of an answer, and when all is done.

As many tasks as `concurrency` take requests from the queues of the hosts. A redirect goes back into the queue of the
host that it leads to, an attempt that failed waits among the delays, a URL whose site is not known yet is parked: no
slot is held by anything that waits.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mlimg_build.fetch.client.client import Client, Redirect
from mlimg_build.fetch.client.memory_budget import Lease, MemoryBudget
from mlimg_build.fetch.names.urls import BadUrl, Url, parse_url
from mlimg_build.fetch.outcomes import Outcome, State
from mlimg_build.fetch.scheduling.attempts import Delays, pause_before
from mlimg_build.fetch.scheduling.host_limits import HostLimits, Rest
from mlimg_build.fetch.scheduling.site_questions import SiteQuestion, ask_site
from mlimg_build.fetch.scheduling.sites import Rights, SiteFailure, SiteRules, Sites
from mlimg_build.fetch.settings import FetchSettings

__all__ = ["Crew", "FetchCounts"]

K = TypeVar("K")
TICK_SECONDS = 0.05
TOGETHER = 64  # URLs that are read before others have their turn


@dataclass(slots=True)
class FetchCounts:
    """What a fetch did: outcomes by state, requests (redirects and documents of sites included), bytes of bodies."""

    outcomes: Counter[State] = field(default_factory=Counter)
    requests: int = 0
    body_bytes: int = 0
    most_memory: int = 0
    stopped: bool = False


@dataclass(slots=True, eq=False)
class _Job(Generic[K]):
    """One URL on its way: `hops` are the URLs that redirected, `spent` the seconds of the attempt so far."""

    key: K
    first: Url
    url: Url
    attempt: int = 0
    spent: float = 0.0
    hops: tuple[str, ...] = ()
    rules: SiteRules | None = None


class Crew(Generic[K]):
    """One fetch; `run` is called once."""

    def __init__(
        self,
        client: Client,
        budget: MemoryBudget,
        settings: FetchSettings,
        on_outcome: Callable[[K, Outcome], Awaitable[None] | None],
        rights: Rights | None,
    ) -> None:
        self._client, self._budget, self._settings = client, budget, settings
        self._on_outcome = on_outcome
        self._rights = rights
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._limits: HostLimits[_Job[K] | SiteQuestion] = HostLimits(
            settings.concurrency,
            settings.per_host,
            failures=settings.failures,
            rest_seconds=settings.rest_seconds,
            longest_pause=settings.retry_after_seconds,
        )
        self._sites: Sites[_Job[K]] = Sites()
        self._delays: Delays[_Job[K] | SiteQuestion] = Delays()
        self._sleepers: deque[asyncio.Future[None]] = deque()
        self._consumers: set[asyncio.Future[None]] = set()
        self._open = 0  # requests without an outcome
        self._is_read = False
        self._room = asyncio.Event()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._counts = FetchCounts()

    async def run(
        self, requests: Iterable[tuple[K, str]] | AsyncIterable[tuple[K, str]], stop: threading.Event | None
    ) -> FetchCounts:
        """Ask for all requests; return when each has its outcome, or `stop` is set."""
        work = [
            self._feed(requests),
            self._tick(stop),
            *(self._work() for _ in range(self._settings.concurrency)),
        ]
        tasks = [asyncio.create_task(self._guarded(one)) for one in work]
        try:
            await self._ended
            if not self._counts.stopped and self._consumers:
                await asyncio.gather(*self._consumers)
        finally:
            for task in (*tasks, *self._consumers):
                task.cancel()
            await asyncio.gather(*tasks, *self._consumers, return_exceptions=True)
        self._counts.most_memory = self._budget.most
        return self._counts

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Run a task; an error ends the fetch."""
        try:
            await work
        except Exception as error:
            if not self._ended.done():
                self._ended.set_exception(error)

    async def _feed(self, requests: Iterable[tuple[K, str]] | AsyncIterable[tuple[K, str]]) -> None:
        if isinstance(requests, AsyncIterable):
            async for key, text in requests:
                await self._accept(key, text)
        else:
            for number, (key, text) in enumerate(requests):
                await self._accept(key, text)
                if number % TOGETHER == 0:
                    await asyncio.sleep(0)
        self._is_read = True
        self._end_if_done()

    async def _accept(self, key: K, text: str) -> None:
        while self._open >= self._settings.waiting:
            self._room.clear()
            await self._room.wait()
        self._open += 1
        try:
            url = parse_url(text)
        except BadUrl as bad:
            self._report(key, Outcome(State.bad_url, str(bad), attempts=0))
            return
        self._admit(_Job(key, url, url))

    async def _tick(self, stop: threading.Event | None) -> None:
        """Look every 0.05 s for what has waited long enough, and whether to stop."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            if stop is not None and stop.is_set():
                self._counts.stopped = True
                if not self._ended.done():
                    self._ended.set_result(None)
                return
            for item in self._delays.due(self._now()):
                self._admit(item)
            self._wake()

    def _admit(self, item: _Job[K] | SiteQuestion) -> None:
        """Queue what may be asked at its host; give the outcome of what may not."""
        origin, now = item.url.origin, self._now()
        if (rest := self._limits.rest(origin, now)) is not None:
            self._give_up(item, rest, now)
            return
        if isinstance(item, _Job) and self._rights is not None:
            known = self._sites.known(origin, now)
            if known is None and not self._rights.documents:
                known = self._rights.site_rules(origin, {})
                self._sites.settle(origin, known)
            if known is None:
                if self._sites.park(origin, item):
                    self._limits.put(origin, SiteQuestion(item.url), first=True)
                    self._wake()
                return
            if isinstance(known, SiteFailure):
                self._end(item, Outcome(known.state, known.answer))
                return
            if why := known.refusal(item.url.text):
                self._end(item, Outcome(State.opted_out, why))
                return
            item.rules = known
            if known.crawl_delay > 0:
                settings = self._settings
                sharing, turn = (settings.sharing, settings.turn) if origin in settings.shared else (1, 0)
                self._limits.set_delay(origin, known.crawl_delay, now, sharing=sharing, turn=turn)
        self._limits.put(origin, item)
        self._wake()

    def _wake(self) -> None:
        if self._sleepers and self._limits.has_next(self._now()):
            sleeper = self._sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)

    async def _work(self) -> None:
        while True:
            taken = self._limits.take(self._now())
            if taken is None:
                sleep: asyncio.Future[None] = self._loop.create_future()
                self._sleepers.append(sleep)
                await sleep
                continue
            origin, item = taken
            self._wake()
            if isinstance(item, SiteQuestion):
                await self._ask_site(origin, item)
            else:
                await self._ask(origin, item)

    async def _ask(self, origin: str, job: _Job[K]) -> None:
        started, settings = self._now(), self._settings
        lease = Lease(self._budget)
        if not job.hops:
            job.attempt += 1
        self._counts.requests += 1
        try:
            answer = await self._client.ask(
                job.url,
                lease,
                seconds=settings.deadline_seconds - job.spent,
                keep=self._limits.is_busy(origin),
                refusal=job.rules.header_refusal if job.rules is not None else None,
            )
            now = self._now()
            job.spent += now - started
            if isinstance(answer, Redirect):
                self._finish(origin, State.ok, "", 0.0, started, now)
                self._follow(job, answer)
                return
            self._finish(origin, answer.state, answer.answer, answer.retry_after, started, now)
            if (
                not self._ask_again(job, origin, answer, now)
                and (waiting := self._end(job, answer)) is not None
            ):
                await waiting
        finally:
            lease.free()

    def _follow(self, job: _Job[K], redirect: Redirect) -> None:
        hops = (*job.hops, job.url.text)
        if redirect.url.text in hops:
            self._end(job, Outcome(State.bad_redirect, f"{redirect.status} in a circle"))
        elif len(hops) > self._settings.redirects:
            self._end(job, Outcome(State.bad_redirect, f"more than {self._settings.redirects} redirects"))
        elif job.spent >= self._settings.deadline_seconds:
            self._end(job, Outcome(State.too_slow, f"redirects took {job.spent:.3g} s"))
        else:
            job.hops, job.url = hops, redirect.url
            self._admit(job)

    def _ask_again(self, job: _Job[K], origin: str, outcome: Outcome, now: float) -> bool:
        """Whether this run asks for a URL again; it waits for its time if so."""
        pause = pause_before(self._settings, job.attempt, outcome.state, outcome.retry_after)
        if pause is None or self._limits.rest(origin, now) is not None:
            return False
        job.url, job.hops, job.spent = job.first, (), 0.0
        self._delays.put(now + pause, job)
        return True

    async def _ask_site(self, origin: str, question: SiteQuestion) -> None:
        assert self._rights is not None  # noqa: S101  else nobody asks
        started = self._now()
        question.attempt += 1
        found = await ask_site(self._client, self._budget, self._settings, self._rights, question)
        now = self._now()
        self._counts.requests += found.requests
        self._finish(origin, found.state, found.answer, found.retry_after, started, now)
        if isinstance(found.known, SiteFailure):
            pause = pause_before(self._settings, question.attempt, found.state, found.retry_after)
            if pause is not None and self._limits.rest(origin, now) is None:
                self._delays.put(now + pause, question)
                return
        for job in self._sites.settle(origin, found.known):
            self._admit(job)

    def _finish(
        self, origin: str, state: State, answer: str, retry_after: float, started: float, now: float
    ) -> None:
        given_up = self._limits.finish(
            origin, state, answer, started=started, now=now, retry_after=retry_after
        )
        if given_up and (rest := self._limits.rest(origin, now)) is not None:
            for item in given_up:
                self._give_up(item, rest, now)

    def _give_up(self, item: _Job[K] | SiteQuestion, rest: Rest, now: float) -> None:
        """Give the URLs of a host that rests its state."""
        outcome = Outcome(rest.state, f"not asked: {rest.answer}", retry_after=rest.until - now)
        if isinstance(item, _Job):
            self._end(item, outcome)
        else:
            failure = SiteFailure(rest.state, outcome.answer, rest.until)
            for job in self._sites.settle(item.url.origin, failure):
                self._end(job, outcome)

    def _end(self, job: _Job[K], outcome: Outcome) -> Awaitable[None] | None:
        return self._report(
            job.key,
            Outcome(
                outcome.state,
                outcome.answer,
                outcome.body,
                job.attempt,
                outcome.retry_after,
                outcome.final_url or job.url.text,
            ),
        )

    def _report(self, key: K, outcome: Outcome) -> Awaitable[None] | None:
        self._counts.outcomes[outcome.state] += 1
        self._counts.body_bytes += len(outcome.body)
        waiting = self._on_outcome(key, outcome)
        self._open -= 1
        if self._open < self._settings.waiting:
            self._room.set()
        self._end_if_done()
        if waiting is None:
            return None
        consumer: asyncio.Future[None] = asyncio.ensure_future(waiting)
        self._consumers.add(consumer)
        consumer.add_done_callback(self._consumed)
        return consumer

    def _consumed(self, consumer: asyncio.Future[None]) -> None:
        self._consumers.discard(consumer)
        if not consumer.cancelled() and (error := consumer.exception()) and not self._ended.done():
            self._ended.set_exception(error)

    def _end_if_done(self) -> None:
        if self._is_read and not self._open and not self._ended.done():
            self._ended.set_result(None)
