"""Queues of hosts, and how many requests each may have at a time.

Hosts take turns, so that one that is slow or in trouble keeps only its own URLs waiting. The limit of a host follows
its answers: additive increase, multiplicative decrease, as TCP does (Chiu and Jain 1989, "Analysis of the Increase and
Decrease Algorithms"). It is halved by a 429, a 5xx, a time-out or a lost connection, at most once for all requests that
were under way together, and grows by 1 after as many answers as it is. A host that fails `failures` times in a row
rests, as one that asks for a pause over `longest_pause` does: its URLs are given back at once with the cause.

Pure bookkeeping: times are given by the caller, nothing waits here.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mlimg_build.fetch.outcomes import State

__all__ = ["HostLimits", "Rest"]

T = TypeVar("T")
REMEMBERED = 16_384  # hosts without URLs whose limits and troubles are kept
TROUBLE = {State.temporary, State.too_slow}
FAILED = TROUBLE | {State.tls, State.no_such_host, State.address_refused}
LONGEST_REST = 16  # times the first


@dataclass(frozen=True, slots=True)
class Rest:
    """Why a host is not asked until `until`: the state and the answer that its URLs get."""

    until: float
    state: State
    answer: str


@dataclass(slots=True, eq=False)
class _Host(Generic[T]):
    name: str
    limit: int
    queue: deque[T] = field(default_factory=deque)
    running: int = 0
    answers: int = 0  # since the limit changed
    failures: int = 0  # in a row
    cut: float = float("-inf")  # when the limit was halved last
    not_before: float = float("-inf")
    delay: float = 0.0  # that the host asks for
    interval: float = 0.0  # between two requests of this process
    rest: Rest | None = None
    rests: int = 0
    listed: bool = False  # in the ring or the heap


class HostLimits(Generic[T]):
    """What waits, by host, and what may be asked next; at most `concurrency` are under way."""

    def __init__(
        self,
        concurrency: int,
        per_host: int,
        *,
        failures: int = 10,
        rest_seconds: float = 60.0,
        longest_pause: float = 60.0,
    ) -> None:
        self._concurrency, self._per_host = concurrency, per_host
        self._failures, self._rest_seconds, self._longest_pause = failures, rest_seconds, longest_pause
        self._hosts: dict[str, _Host[T]] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()
        self._ring: deque[_Host[T]] = deque()
        self._later: list[tuple[float, int, _Host[T]]] = []
        self._number = 0
        self.running = 0
        self.waiting = 0

    def put(self, name: str, item: T, *, first: bool = False) -> None:
        """Queue an item of a host; `first` puts it before those that wait."""
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name, self._per_host)
        self._idle.pop(name, None)
        if first:
            host.queue.appendleft(item)
        else:
            host.queue.append(item)
        self.waiting += 1
        self._list(host)

    def take(self, now: float) -> tuple[str, T] | None:
        """Return the next item and its host, which is under way until `finish`; None if none may be asked now."""
        while self._later and self._later[0][0] <= now:
            self._ring.append(heapq.heappop(self._later)[2])
        if self.running >= self._concurrency:
            return None
        while self._ring:
            host = self._ring.popleft()
            host.listed = False
            if not host.queue or host.running >= host.limit:
                continue  # `finish` lists it again
            if host.not_before > now:
                self._number += 1
                heapq.heappush(self._later, (host.not_before, self._number, host))
                host.listed = True
                continue
            item = host.queue.popleft()
            host.running += 1
            self.running += 1
            self.waiting -= 1
            if host.interval:
                host.not_before = now + host.interval
            self._list(host)
            return host.name, item
        return None

    def finish(
        self, name: str, state: State, answer: str, *, started: float, now: float, retry_after: float = 0.0
    ) -> list[T]:
        """Note what came of a request that began at `started`; return the items that its host has to give up.

        `retry_after` is the pause in seconds for which the host asked.
        """
        host = self._hosts[name]
        host.running -= 1
        self.running -= 1
        given_up: list[T] = []
        if state in FAILED:
            given_up = self._failed(host, state, answer, started, now)
        else:
            self._answered(host)
        pause = retry_after if state in TROUBLE else 0.0
        if host.delay > self._longest_pause and pause <= self._longest_pause:
            pause, answer = host.delay, f"Crawl-delay: {host.delay:g}"
        if pause > self._longest_pause:
            given_up += self._begin_rest(host, Rest(now + pause, State.temporary, answer))
        elif pause:
            host.not_before = max(host.not_before, now + pause)
        if host.queue:
            self._list(host)
        elif not host.running:
            self._forget(host)
        return given_up

    def rest(self, name: str, now: float) -> Rest | None:
        """Return the rest of a host, None if it may be asked; after a rest, one request tries the host."""
        host = self._hosts.get(name)
        if host is None or host.rest is None:
            return None
        if host.rest.until > now:
            return host.rest
        host.rest = None
        return None

    def set_delay(self, name: str, seconds: float, now: float, *, sharing: int = 1, turn: int = 0) -> None:
        """Ask a host one at a time, `seconds` from one request to the next (Crawl-delay).

        With so many processes `sharing` the host, each of them waits so many times as long, and begins in its `turn`.
        """
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(name, 1)
        if not host.delay:
            host.not_before = max(host.not_before, now + turn * seconds)
        host.delay, host.interval, host.limit = seconds, seconds * sharing, 1

    def is_busy(self, name: str) -> bool:
        """Whether a host has more to do than one request: a connection to it is worth keeping."""
        host = self._hosts.get(name)
        return host is not None and (bool(host.queue) or host.running > 1)

    def limit(self, name: str) -> int:
        """Return how many requests a host may have at a time."""
        host = self._hosts.get(name)
        return self._per_host if host is None else host.limit

    def has_next(self, now: float) -> bool:
        """Whether `take` may find something."""
        is_due = bool(self._later) and self._later[0][0] <= now
        return self.running < self._concurrency and (bool(self._ring) or is_due)

    def _list(self, host: _Host[T]) -> None:
        if not host.listed and host.queue and host.running < host.limit:
            host.listed = True
            self._ring.append(host)

    def _failed(self, host: _Host[T], state: State, answer: str, started: float, now: float) -> list[T]:
        host.failures += 1
        host.answers = 0
        if state in TROUBLE and started >= host.cut:
            host.limit, host.cut = max(1, host.limit // 2), now
        if host.failures < self._failures or host.rest is not None:
            return []
        seconds = self._rest_seconds * min(2**host.rests, LONGEST_REST)
        host.rests += 1
        host.limit = 1
        failures = f"{answer} ({host.failures} failures in a row)" if host.failures > 1 else answer
        return self._begin_rest(host, Rest(now + seconds, state, failures))

    def _answered(self, host: _Host[T]) -> None:
        host.failures = host.rests = 0
        host.answers += 1
        if host.answers >= host.limit and not host.interval:
            host.limit, host.answers = min(self._per_host, host.limit + 1), 0

    def _begin_rest(self, host: _Host[T], rest: Rest) -> list[T]:
        host.rest = rest
        host.not_before = max(host.not_before, rest.until)
        given_up = list(host.queue)
        host.queue.clear()
        self.waiting -= len(given_up)
        return given_up

    def _forget(self, host: _Host[T]) -> None:
        """Note that a host has nothing to do; the one that has had nothing for longest is forgotten."""
        self._idle[host.name] = None
        self._idle.move_to_end(host.name)
        if len(self._idle) > REMEMBERED:
            name, _ = self._idle.popitem(last=False)
            del self._hosts[name]
