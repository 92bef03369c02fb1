"""A umask for a block, and the files that do not follow it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def masked(umask: int) -> Iterator[None]:
    """Run the block under another umask."""
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def wrong_modes(root: Path, umask: int) -> list[str]:
    """Return what lies in `root` with other modes than the umask gives."""
    found = []
    for path in (root, *root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode != ((0o777 if path.is_dir() else 0o666) & ~umask):
            found.append(f"{mode:o} {path.relative_to(root)}")
    return found
