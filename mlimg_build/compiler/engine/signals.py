"""Protect sections of code from signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

__all__ = ["uninterrupted"]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM until the block ends: half started or half closed processes cannot be cleaned up.

    Ctrl-C is blocked, not caught: a terminal sends it to the workers too, and processes started in the block inherit
    the mask. Does nothing outside the main thread.

    Raises:
        KeyboardInterrupt: at the end, if SIGTERM arrived.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # when it starts, it unblocks Ctrl-C
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
