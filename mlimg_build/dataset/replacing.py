"""A directory that appears whole or not at all, in place of an older one that stays until then."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlimg_build.dataset.durable import sync_all, sync_file

__all__ = ["is_temporary", "replacing"]

NEW, OLD = ".new", ".old"
AT_CWD, EXCHANGE = -100, 2


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives an empty directory beside `path` that takes its place when the block ends well.

    Everything in it is on the disk before it is renamed. When the block fails it is removed and `path` is
    as it was. What killed runs left behind is removed first; a directory that a live process fills is left
    alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clean(path)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=NEW, dir=path.parent))
    temporary.chmod(0o755)  # mkdtemp's 0700 would shut out every other reader
    lock = os.open(temporary, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks loses only the cleaning
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield temporary
        sync_all(temporary)
        _swap(temporary, path)
        sync_file(path.parent)
    finally:
        os.close(lock)
        shutil.rmtree(temporary, ignore_errors=True)


def is_temporary(path: Path) -> bool:
    """Whether `path` is a directory that `replacing` was still filling, or was about to remove."""
    return path.name.startswith(".") and path.name.endswith((NEW, OLD))


def _swap(temporary: Path, path: Path) -> None:
    """`path` is the new directory; where there was an old one, `temporary` is that."""
    if not path.exists():
        temporary.rename(path)
        return
    if _exchange(temporary, path):
        return
    old = temporary.with_suffix(OLD)
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Whether the kernel swapped two names in one step (Linux renameat2); not every file system can."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(AT_CWD, os.fsencode(one), AT_CWD, os.fsencode(other), EXCHANGE) == 0


def _clean(path: Path) -> None:
    for leftover in sorted(path.parent.glob(f".{_literal(path.name)}.*")):
        if not is_temporary(leftover) or not leftover.is_dir():
            continue
        if leftover.name.endswith(OLD) and not path.exists():
            leftover.rename(path)  # killed between the two renames: the old one is still the valid one
            continue
        descriptor = os.open(leftover, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)
        except OSError:  # its writer lives
            continue
        finally:
            os.close(descriptor)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
