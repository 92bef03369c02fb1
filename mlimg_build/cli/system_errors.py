"""Say what the machine could not give: a file, space on a disk, memory, a thread."""

from __future__ import annotations

import errno
import os

from mlimg_build.errors import Problem

__all__ = ["system_problem"]


def system_problem(error: BaseException) -> Problem | None:
    """Return the problem for an error of the operating system; None for any other error.

    >>> print(system_problem(RuntimeError("can't start new thread")).hint)
    raise the limit of processes (`ulimit -u`), or end some, and run the same command again
    """
    if isinstance(error, MemoryError):
        hint = "take fewer workers or a machine with more, and run the same command again: what is finished is kept"
        return Problem("out-of-memory", "there is not enough memory", hint=hint)
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        hint = "raise the limit of processes (`ulimit -u`), or end some, and run the same command again"
        return Problem("system-error", "no thread can be started", hint=hint)
    return _of_system(error) if isinstance(error, OSError) else None


def _of_system(error: OSError) -> Problem:
    if error.errno == errno.ENOENT and error.filename is None and not _has_folder():
        return Problem("system-error", "the working folder is gone", hint="`cd` to one that exists")
    what = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return Problem(
            "disk-full", f"the disk is full{where}", hint="free some space and run the same command again"
        )
    return Problem(
        "system-error", f"{what[:1].lower()}{what[1:]}{where}", hint="check the path and its permissions"
    )


def _has_folder() -> bool:
    """Return whether the working folder exists."""
    try:
        os.getcwd()  # noqa: PTH109  no path is needed
    except OSError:
        return False
    return True
