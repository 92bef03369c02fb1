"""Files and folders that appear whole or not at all and survive a power cut; a full disk is told in one sentence."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlimg_build.errors import DatasetError, Problem

__all__ = [
    "explaining_full_disk",
    "is_temporary",
    "replacing",
    "save_json",
    "sync_all",
    "sync_file",
    "sync_tree",
    "write_synced",
]

NEW, OLD = ".new", ".old"
AT_CWD, EXCHANGE = -100, 2
KEPT = "free some space and run the same command again; what is finished is kept"


def sync_file(path: Path) -> None:
    """The content of a file, or the entries of a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(root: Path) -> dict[str, int]:
    """Everything under `root` is on the disk; gives the size of every file by its path below `root`.

    A file with a second hard link is an artefact's: it was synced when the artefact was written.
    """
    sizes: dict[str, int] = {}
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            state = path.stat()
            if state.st_nlink == 1:
                sync_file(path)
            sizes[path.relative_to(root).as_posix()] = state.st_size
        sync_file(Path(folder))
    return dict(sorted(sizes.items()))


def sync_all(folder: Path) -> None:
    """Everything under `folder` is on the disk, by one call for its whole file system where the kernel has one.

    A thousand small files cost one wait instead of a thousand.
    """
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        sync_tree(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def save_json(path: Path, value: object) -> None:
    """`path` holds `value` as JSON, whole and on the disk, or is as it was."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n", encoding="utf-8")
    sync_file(temporary)
    temporary.replace(path)
    sync_file(path.parent)


@contextmanager
def explaining_full_disk(path: Path, hint: str = KEPT) -> Iterator[None]:
    """An OSError for want of space leaves the block as DatasetError `disk-full`; others pass unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"the disk that holds {path} is full"
        raise DatasetError(Problem("disk-full", message, hint=hint)) from error


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file whose bytes are on the disk when the call returns."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


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
    if exchange_names(temporary, path):
        return
    old = temporary.with_suffix(OLD)
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange_names(one: Path, other: Path) -> bool:
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
