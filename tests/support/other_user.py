"""Another user of the machine: a folder that everybody may enter, and code that runs as nobody. Both need root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["NOBODY", "as_nobody", "folder_for_all"]

NOBODY = 65534


@contextmanager
def folder_for_all() -> Iterator[Path]:
    """A folder that everybody may enter, as somebody's project folder is."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    folder = Path(tempfile.mkdtemp(prefix="mlimg-open-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """This process is nobody for a while: what only root may write or enter is closed to it."""
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
