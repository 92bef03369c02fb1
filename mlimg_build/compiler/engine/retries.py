"""Retry calls that fail with a transient error, a limited number of times."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from mlimg_build.errors import TransientError

__all__ = ["PAUSES", "retried", "waiting"]

PAUSES = (1.0, 3.0, 9.0)  # seconds before each further try
T = TypeVar("T")


def retried(call: Callable[[], T], say: Callable[[str], None]) -> T:
    """Return `call()`, retried after a pause if it raises `TransientError`; `say` receives the reason.

    Raises `TransientError` if the last retry does.
    """
    for number, seconds in enumerate(PAUSES, start=1):
        try:
            return call()
        except TransientError as error:
            say(waiting(error.problems[0].message, number))
            time.sleep(seconds)
    return call()


def waiting(why: str, number: int) -> str:
    """Return the message before the given retry, counted from 1."""
    return f"{why}; tried again in {PAUSES[number - 1]:g} s ({number} of {len(PAUSES)})"
