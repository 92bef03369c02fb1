"""The limit on open files of this process, which connections count against."""

from __future__ import annotations

import contextlib

__all__ = ["raise_open_files"]


def raise_open_files(wanted: int) -> int:
    """Raise the soft limit on open files to `wanted`, or as far as the hard limit lets; return what it is, 0: unknown.

    >>> raise_open_files(64) >= 64
    True
    """
    try:
        import resource  # noqa: PLC0415  not on every system
    except ImportError:
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, target), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
