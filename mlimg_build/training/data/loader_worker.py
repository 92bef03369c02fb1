"""What a process that loads images does besides loading: it sends whole pieces, and ends with its driver."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

__all__ = ["SentPiece", "begin_worker"]

PR_SET_PDEATHSIG = 1  # linux/prctl.h


class SentPiece:
    """A value with tensors, moved to shared memory when it is made; unpickling gives the value itself.

    A DataLoader would move it in a thread that prints an error and sends nothing, so that the driver waits for ever.
    """

    def __init__(self, piece: Any) -> None:
        """Raises RuntimeError or OSError if shared memory is full or no file can be opened."""
        self._pickled = bytes(ForkingPickler.dumps(piece))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[bytes]]:
        return pickle.loads, (self._pickled,)


def begin_worker(worker: int) -> None:
    """Prepare this process: it ignores Ctrl-C, which reaches every process of a terminal, and ends with its driver."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = multiprocessing.parent_process()
    if driver is not None:
        threading.Thread(target=_follow, args=(driver.sentinel,), daemon=True).start()
    _end_with_fork_server()


def _follow(driver: int) -> None:
    """Exit this process when its driver does, for whatever reason; also if the driver was gone before this thread."""
    wait([driver])
    os._exit(1)


def _end_with_fork_server() -> None:
    """Have the fork server end with the driver, and the kernel kill this process with the fork server.

    So a process that is stopped ends as well. A fork server ends once nobody holds the pipe that it watches, which each
    of its children inherits. The kernel's signal comes at the end of the thread that forked; the server has only one.
    """
    server: Any = forkserver._forkserver
    alive = getattr(server, "_forkserver_alive_fd", None)
    if isinstance(alive, int):
        server._forkserver_alive_fd = None
        with suppress(OSError):
            os.close(alive)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
