"""When a URL is asked again within a run, and what waits until then.

Pauses grow and are drawn at random over their whole length ("full jitter"; M. Brooker, "Exponential Backoff and
Jitter", AWS Architecture Blog, 2015), so that URLs that failed together do not come back together.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from typing import Generic, TypeVar

from mlimg_build.fetch.outcomes import State
from mlimg_build.fetch.settings import FetchSettings

__all__ = ["Delays", "pause_before"]

T = TypeVar("T")


def pause_before(
    settings: FetchSettings, attempt: int, state: State, retry_after: float, draw: float | None = None
) -> float | None:
    """Return the seconds to wait after attempt `attempt` ended in a state; None if this run does not ask again.

    `draw` is between 0 and 1; by default it is drawn.

    >>> settings, failed = FetchSettings(attempts=3, backoff_seconds=1.0), State.temporary
    >>> pause_before(settings, 1, failed, 0.0, draw=0.5), pause_before(settings, 2, failed, 7.0, draw=0.5)
    (1.0, 9.0)
    >>> pause_before(settings, 3, failed, 0.0), pause_before(settings, 1, State.gone, 0.0)
    (None, None)
    """
    if state != State.temporary or attempt >= settings.attempts or retry_after > settings.retry_after_seconds:
        return None
    share = random.random() if draw is None else draw  # noqa: S311  no secret
    return retry_after + share * settings.backoff_seconds * (1 << attempt)


class Delays(Generic[T]):
    """Items with the time from which each may go on; nothing waits here."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, T]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, when: float, item: T) -> None:
        """Keep an item until `when`."""
        self._number += 1
        heapq.heappush(self._heap, (when, self._number, item))

    def due(self, now: float) -> Iterator[T]:
        """Take out the items whose time has come, in order of their times."""
        while self._heap and self._heap[0][0] <= now:
            yield heapq.heappop(self._heap)[2]
