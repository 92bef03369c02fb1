"""Where the images of a list lie: below a root as files, in a synset's tar, or on a server."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mlimg_build.sources.listing import is_url
from mlimg_build.sources.protocol import IMAGES, WHOLE_FILE, Notes
from mlimg_build.sources.tars import members

__all__ = ["Archive", "Found"]


class Found(NamedTuple):
    """Where the bytes of one image lie, in the words of `IMAGES`."""

    path: str
    offset: int = WHOLE_FILE
    size: int = -1
    status: str = ""
    mtime: int = 0


class Archive:
    """Finds images by the paths that a list gives; `n02105855/x.JPEG` is also found in `n02105855.tar`."""

    def __init__(self, root: Path | None, notes: Notes) -> None:
        self.root = root
        self.notes = notes
        self._tars: dict[str, _Tar | None] = {}

    def rows(
        self,
        paths: Sequence[str],
        licence: str | Sequence[str],
        author: str | Sequence[str],
    ) -> pa.RecordBatch:
        """A batch of `IMAGES`, named by the paths as they are given."""
        found = [self.find(path) for path in paths]
        n = len(paths)
        return pa.record_batch(
            [
                pa.array(paths, pa.string()),
                pa.array([row.path for row in found], pa.string()),
                pa.array([row.offset for row in found], pa.int64()),
                pa.array([row.size for row in found], pa.int64()),
                pa.array([row.status for row in found], pa.string()),
                pa.array([licence] * n if isinstance(licence, str) else licence, pa.string()),
                pa.array([author] * n if isinstance(author, str) else author, pa.string()),
                pa.array([row.mtime for row in found], pa.int64()),
            ],
            schema=IMAGES,
        )

    def find(self, path: str) -> Found:
        """Where one image lies; a path that leaves the root, or names no file, counts as missing."""
        if is_url(path):
            return Found(path, status="not_fetched")
        parts = PurePosixPath(path).parts
        if self.root is None or not parts or parts[0].startswith("/") or ".." in parts:
            return Found(path, status="missing")
        try:
            status = (self.root / path).stat()
        except (OSError, ValueError):
            tar = self._tar(parts[0]) if len(parts) > 1 else None
            return (tar.find(parts[-1]) if tar else None) or Found(path, status="missing")
        if not stat.S_ISREG(status.st_mode):
            return Found(path, status="missing")
        return Found(path, size=status.st_size, mtime=status.st_mtime_ns)

    def _tar(self, synset: str) -> _Tar | None:
        if synset not in self._tars:
            path = self.root / f"{synset}.tar" if self.root else Path()
            self._tars[synset] = _index(path, self.notes) if _is_file(path) else None
        return self._tars[synset]


@dataclass(frozen=True, slots=True)
class _Tar:
    """The members of a tar by their last name, sorted: 40 bytes an image, as a list may name ten million."""

    path: str
    mtime: int
    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    whole: np.ndarray

    def find(self, name: str) -> Found | None:
        wanted = name.encode()
        at = int(np.searchsorted(self.names, wanted)) if len(self.names) else 0
        if at == len(self.names) or self.names[at] != wanted:
            return None
        status = "" if self.whole[at] else "truncated"
        return Found(self.path, int(self.offsets[at]), int(self.sizes[at]), status, self.mtime)


def _index(path: Path, notes: Notes) -> _Tar:
    found = sorted((member.name.rsplit("/", 1)[-1].encode(), member) for member in members(path, notes))
    return _Tar(
        path.name,
        path.stat().st_mtime_ns,
        np.array([name for name, _ in found], dtype=np.bytes_),
        np.array([member.offset for _, member in found], dtype=np.int64),
        np.array([member.size for _, member in found], dtype=np.int64),
        np.array([member.whole for _, member in found], dtype=bool),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file system takes
        return False
