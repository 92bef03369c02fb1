"""Signals: what may not be interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

__all__ = ["uninterrupted"]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back until the end: processes that are half started or half closed cannot be tidied up.

    Ctrl-C is blocked, not caught: a terminal sends it to the workers too, and what starts in here never hears it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # when it starts, it lets Ctrl-C through again
    held: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if held:
        raise KeyboardInterrupt
