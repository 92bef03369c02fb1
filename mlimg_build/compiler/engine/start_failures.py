"""Say in one error why the workers of a local cluster did not start."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlimg_build.errors import BackendError, Problem

__all__ = ["explaining_start", "in_folder_that_exists"]

KILLED = 10  # seconds that a killed process may take to end
INLINE = "`--backend inline` builds without workers"
HINTS = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), or take fewer workers",
    errno.ENFILE: "the machine has too many open files: end something, or take fewer workers",
    errno.EAGAIN: "raise the limit of processes (`ulimit -u`), or take fewer workers",
    errno.ENOMEM: "take fewer workers, or give them less memory",
    errno.ENOSPC: "free some space in the temporary folder, or set TMPDIR to another",
    errno.EDQUOT: "free some space in the temporary folder, or set TMPDIR to another",
    errno.EROFS: "set TMPDIR to a folder that can be written",
    errno.EACCES: "look at the permissions of the temporary folder and of --out",
    errno.EPERM: "look at the permissions of the temporary folder and of --out",
    errno.ENOENT: "look whether the temporary folder and --out exist",
}


@contextmanager
def explaining_start(seconds: float) -> Iterator[None]:
    """Turn whatever fails in the block, which may take `seconds`, into one error; half started processes are killed.

    Raises:
        BackendError: `workers-not-started`, with the cause and what to do.
    """
    if multiprocessing.current_process().daemon:
        hint = f"start the build in a process that is no daemon; {INLINE}"
        raise BackendError(
            Problem("workers-not-started", "a daemonic process may not start workers", hint=hint)
        )
    before = set(multiprocessing.active_children())
    try:
        yield
    except Exception as error:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join(KILLED)
        cause = _cause(error)
        if isinstance(cause, TimeoutError):
            message = f"the workers did not start within {seconds:g} s"
            hint = "the machine may be busy: take fewer workers, or raise `cluster.timeout_seconds` of the backend"
        elif "Nanny failed" in str(cause):  # what Dask says of a process that ended at once
            message = "the workers could not be started: a process ended while it started"
            hint = "see what it printed; the limit of processes (`ulimit -u`) or of memory may be too low"
        else:
            message = f"the workers could not be started: {_words(cause)}"
            hint = HINTS.get(getattr(cause, "errno", None) or _limit(cause), "see whether it can be mended")
        raise BackendError(Problem("workers-not-started", message, hint=f"{hint}; {INLINE}")) from error


@contextmanager
def in_folder_that_exists(folder: Path) -> Iterator[None]:
    """Run the block in `folder` if the working folder is gone: a new process cannot start in one that is not there."""
    try:
        os.getcwd()  # noqa: PTH109  no path is needed
    except OSError:
        before = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    else:
        yield
        return
    try:
        os.chdir(folder)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _cause(error: BaseException) -> BaseException:
    """Return that one of the errors from which this one was raised which says most."""
    chain: list[BaseException] = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    telling = [one for one in chain if getattr(one, "errno", None) in HINTS]
    late = [one for one in chain if isinstance(one, TimeoutError)]
    return (telling or late or [one for one in chain if isinstance(one, Exception)])[-1]


def _words(error: BaseException) -> str:
    """Return an error in a few words, of the operating system if it says so."""
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror[:1].lower()}{error.strerror[1:]}{where}"
    return str(error) or type(error).__name__


def _limit(error: BaseException) -> int:
    return errno.EAGAIN if "can't start new thread" in str(error) else 0
