"""Temporary folders of a store, each locked while it is filled, so that nobody removes it from under its writer."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import getnode, uuid4

from mlimg_build.atomic import lock_new
from mlimg_build.errors import Problem, TransientError

__all__ = ["discard", "remove_abandoned", "scratch_folder"]

STALE = 3600.0  # seconds without a write after which a folder whose lock says nothing counts as abandoned
TRIES = 10
GONE = "gone-"  # begins the name of what is being removed


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new empty folder in `parent`; it is removed at the end, unless it was renamed.

    Its writer holds a lock on it, which the kernel releases if the process dies.

    Raises:
        TransientError: `scratch-contested` if new folders keep being removed.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder, lock = _made(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders in `parent` that nobody fills any more.

    A folder with a lock is kept. One without is removed if it was made on this machine, where the lock of its writer
    would be seen. Others, and all on a file system without locks, are removed once nothing was written for an hour.
    """
    try:
        with os.scandir(parent) as found:
            paths = [Path(entry.path) for entry in found]
    except OSError:
        return
    for path in paths:
        if path.name.startswith(GONE):
            _remove(path)
        elif path.is_symlink() or not path.is_dir():
            with suppress(OSError):
                path.unlink()
        else:
            _remove_if_abandoned(path)


def discard(path: Path, parent: Path) -> None:
    """Remove a file or folder that nobody fills; it is renamed into `parent` first, so that it is whole or gone."""
    gone = parent / f"{GONE}{uuid4().hex}"
    parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError, NotADirectoryError):
        path.rename(gone)
    _remove(gone)


def _made(parent: Path) -> tuple[Path, int]:
    """Return a new folder and the descriptor that holds its lock."""
    for _ in range(TRIES):
        folder = parent / f"{_machine()}-{uuid4().hex}"
        folder.mkdir()
        with suppress(FileNotFoundError, BlockingIOError):
            return folder, lock_new(folder)
        with suppress(OSError):  # whoever locked it may leave it
            folder.rmdir()
    message = f"new folders in {parent} are removed as soon as they are made"
    hint = "look what cleans this folder, and run the same command again"
    raise TransientError(Problem("scratch-contested", message, hint=hint))


def _remove_if_abandoned(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            visible = folder.name.startswith(f"{_machine()}-")
        except BlockingIOError:
            return
        except OSError:
            visible = False
        if visible or time.time() - _last_write(folder) > STALE:
            with suppress(OSError):  # who may not remove it leaves it
                discard(folder, folder.parent)
    finally:
        os.close(lock)


def _last_write(folder: Path) -> float:
    """Return when something below a folder was last written, in seconds since 1970."""
    last = 0.0
    for base, _, names in os.walk(folder):
        for name in ("", *names):
            with suppress(OSError):
                last = max(last, Path(base, name).lstat().st_mtime)
    return last


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _machine() -> str:
    """Return what tells this machine since its last start from others."""
    try:
        return (
            Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")[:12]
        )
    except OSError:
        return f"{getnode():012x}"
