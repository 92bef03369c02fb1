"""Let this process reuse freed memory instead of returning it to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

__all__ = ["KEPT", "LARGE", "keep_freed_memory"]

KEPT = 128 << 20  # bytes of freed memory that a process keeps
LARGE = 32 << 20  # arrays of at least so many bytes are mapped, and returned to the system when freed
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Make this process keep up to `KEPT` bytes of freed memory.

    Requesting it from the system again for every array costs a third of the work on the array. Does nothing without
    glibc.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
