"""Classify why a file of a source could not be read, and create the error for it.

A file that is not in a fresh listing of its folder is gone: a fact about the file. EIO, EACCES and EPERM concern one
file if its folder can be listed. Everything else (open files, memory, a stale or lost mount, a network) is a transient
state of the process or the mount.
"""

from __future__ import annotations

import errno

from mlimg_build.errors import Place, Problem, SourceError, TransientError

__all__ = [
    "KEPT",
    "away",
    "changed",
    "is_damage",
    "is_forbidden",
    "is_gone",
    "is_of_one_file",
    "is_of_the_name",
    "lost",
    "moving",
    "unread",
]

KEPT = "what is finished is kept"
GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
ONE_FILE = frozenset({errno.EIO, errno.EACCES, errno.EPERM})
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
OF_THE_NAME = frozenset({errno.ELOOP, errno.ENAMETOOLONG})
DAMAGE = frozenset({errno.EINVAL, errno.EOVERFLOW, errno.EFBIG, errno.EISDIR})
HINTS = {
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "the machine has no file handles left; end what holds them",
    errno.ENOMEM: "the machine has no memory left; take fewer workers",
}


def is_gone(error: OSError) -> bool:
    """Return whether the system found no file of that name, to be confirmed by a fresh listing."""
    return error.errno in GONE


def is_of_one_file(error: OSError) -> bool:
    """Return whether the cause may be one file alone: a bad block, its permissions."""
    return error.errno in ONE_FILE


def is_forbidden(error: OSError) -> bool:
    """Return whether access is forbidden, as to `lost+found`; a listing continues without it."""
    return error.errno in FORBIDDEN


def is_of_the_name(error: OSError) -> bool:
    """Return whether the name itself is invalid: a cycle of links, or longer than the system allows."""
    return error.errno in OF_THE_NAME


def is_damage(error: OSError) -> bool:
    """Return whether the cause is the kind or content of a file: a folder, an offset that no file has."""
    return error.errno is None or error.errno in DAMAGE


def changed(source: str, path: str, what: str, place: Place | None = None) -> SourceError:
    """Return the error for a file that is not the one that the plan saw."""
    message = f"source {source}: {path} is not as it was when the build was planned: {what}"
    hint = f"let whatever writes there finish and run the same command again: it plans anew, and {KEPT}"
    return SourceError(Problem("source-changed", message, place, hint))


def away(source: str, what: str, place: Place | None = None) -> TransientError:
    """Return the error for a folder of a source that is no longer there, as after a mount is lost."""
    hint = f"mount it or put it back, and run the same command again; {KEPT}"
    return TransientError(Problem("source-away", f"source {source}: {what}", place, hint))


def lost(path: object, error: OSError) -> TransientError:
    """Return the error for a file or folder that could not be examined while a source was listed."""
    why = "it was there and is gone" if is_gone(error) else error.strerror or type(error).__name__
    hint = "look at its permissions, the disk and the mount, and run the same command again"
    return TransientError(Problem("source-unreadable", f"{path} could not be looked at: {why}", hint=hint))


def moving(what: str) -> TransientError:
    """Return the error for a source that changes while it is listed."""
    hint = "let whatever writes there finish and run the same command again"
    return TransientError(Problem("source-changed", f"{what} changed while it was listed", hint=hint))


def unread(source: str, path: str, error: OSError, place: Place | None = None) -> TransientError:
    """Return the error for an existing file that was not read; `file-unreadable` if only this file is concerned."""
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
