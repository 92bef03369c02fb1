"""Digests of files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mlimg_build.regular_files import open_regular

__all__ = ["file_digest"]


def file_digest(path: Path) -> str:
    """Return the sha256 of a regular file, in hex. Raises `OSError` if it cannot be read."""
    with os.fdopen(open_regular(path), "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
