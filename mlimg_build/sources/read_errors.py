"""Why a file of a source could not be read, and what is said of it.

A file that is not in a fresh listing of its folder is gone: a fact about the file. EIO, EACCES and EPERM concern one
file where its folder can be listed. Everything else (open files, memory, a stale or lost mount, a network) is the
state of the process or the mount: it may pass.
"""

from __future__ import annotations

import errno

from mlimg_build.errors import Place, Problem, SourceError, TransientError

__all__ = ["KEPT", "away", "changed", "is_gone", "is_of_one_file", "left_by_one_folder", "unread"]

KEPT = "what is finished is kept"
GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
ONE_FILE = frozenset({errno.EIO, errno.EACCES, errno.EPERM})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
HINTS = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "the machine has no file handles left; end what holds them",
    errno.ENOMEM: "the machine has no memory left; take fewer workers",
}


def is_gone(error: OSError) -> bool:
    """Whether the system found nothing under the name, which a fresh listing confirms or not."""
    return error.errno in GONE


def is_of_one_file(error: OSError) -> bool:
    """Whether the cause may lie in one file alone: a bad block, its permissions."""
    return error.errno in ONE_FILE


def left_by_one_folder(error: OSError) -> bool:
    """Whether a folder may not be entered by whoever runs this, as `lost+found`; a listing goes on beside it."""
    return error.errno in FORBIDDEN


def changed(source: str, path: str, what: str, place: Place | None = None) -> SourceError:
    """The error for a file that is not the one that the plan saw."""
    message = f"source {source}: {path} is not as it was when the build was planned: {what}"
    hint = f"let whatever writes there finish and run the same command again: it plans anew, and {KEPT}"
    return SourceError(Problem("source-changed", message, place, hint))


def away(source: str, what: str, place: Place | None = None) -> TransientError:
    """The error for a folder of a source that is not there any more, as after a mount is lost."""
    hint = f"mount it or put it back, and run the same command again; {KEPT}"
    return TransientError(Problem("source-away", f"source {source}: {what}", place, hint))


def unread(source: str, path: str, error: OSError, place: Place | None = None) -> TransientError:
    """The error for a file that is there and was not read; `file-unreadable` where only this file is concerned."""
    why = error.strerror or type(error).__name__
    if is_of_one_file(error):
        message = f"source {source}: {path} is there and cannot be read: {why}"
        hint = (
            "mend its permissions or copy it again; with `images: {unreadable: keep}` it becomes a row without bytes, "
            "and every rerun asks for it again"
        )
        return TransientError(Problem("file-unreadable", message, place, hint))
    message = f"source {source}: {path} was not read: {why}"
    cause = HINTS.get(error.errno or 0, "look at the mount and the machine")
    return TransientError(
        Problem("read-failed", message, place, f"{cause}, and run the same command again; {KEPT}")
    )
