"""Memory of this process: what is freed is kept for what comes next."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["KEPT", "LARGE", "keep_freed_memory"]

KEPT = 128 << 20  # bytes of freed memory that a process keeps
LARGE = 32 << 20  # bytes of an array that is returned whole all the same
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Freed memory, up to `KEPT` bytes, stays with this process.

    To get it back from the system for every array costs a third of the work on the array. Elsewhere than with
    glibc nothing is changed.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
