"""The clock of one attempt: what it may take in all, and the least rate at which a body must come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mlimg_build.fetch.client.answers import AnswerRefused
from mlimg_build.fetch.outcomes import State

__all__ = ["Pace"]


class Pace:
    """One timer for a request, moved from stage to stage: connection and answer, the body, the rest of a body.

    A body is seen at the end of each window of `window` seconds: it must have brought `rate` bytes a second. The timer
    is set two windows ahead, as bytes that come move it on: one that stops ends after two windows at the latest.
    """

    __slots__ = (
        "_clock",
        "_count",
        "_timer",
        "_window",
        "_window_end",
        "deadline",
        "needed",
        "stage",
        "started",
    )

    def __init__(
        self, timer: asyncio.Timeout, clock: Callable[[], float], deadline: float, rate: float, window: float
    ) -> None:
        self._timer, self._clock, self._window = timer, clock, window
        self.deadline, self.needed = deadline, rate * window
        self.stage, self.started = "answer", clock()
        self._count, self._window_end = 0, 0.0

    def begin_body(self) -> None:
        """Count from now on."""
        self.stage = "body"
        self._roll(self._clock())

    def received(self, count: int) -> None:
        """Note bytes of a body.

        Raises:
            AnswerRefused: they came too slowly.
        """
        self._count += count
        now = self._clock()
        if now >= self._window_end:
            if self._count < self.needed:
                raise AnswerRefused(State.too_slow, self.slowness())
            self._roll(now)

    def slowness(self) -> str:
        """Say that a body came too slowly."""
        if self._clock() >= self.deadline:
            return f"not whole after {self._clock() - self.started:.3g} s"
        return f"less than {self.needed:.0f} bytes in {self._window:g} s"

    async def paused(self, wait: Awaitable[None]) -> None:
        """Wait for something that is not the server's; the clock stands still."""
        began = self._clock()
        self._timer.reschedule(None)
        await wait
        self.deadline += self._clock() - began
        self._roll(self._clock())

    def limit(self, seconds: float) -> None:
        """Let what follows take so many seconds at most."""
        self._timer.reschedule(min(self.deadline, self._clock() + seconds))

    def _roll(self, now: float) -> None:
        self._count, self._window_end = 0, now + self._window
        self._timer.reschedule(min(self.deadline, now + 2 * self._window))
