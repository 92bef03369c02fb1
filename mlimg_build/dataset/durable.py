"""Files that survive a power cut, and a full disk that ends in one clear sentence."""

from __future__ import annotations

import ctypes
import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlimg_build.errors import DatasetError, Problem

__all__ = ["explaining_full_disk", "save_json", "sync_all", "sync_file", "sync_tree"]


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
