"""Where the images of a list lie: below a root as files, in a synset's tar, or on a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa

from mlimg_build.sources.listing import is_url
from mlimg_build.sources.protocol import IMAGES, WHOLE_FILE, Notes
from mlimg_build.sources.tars import members

__all__ = ["Archive"]

Found = tuple[str, int, int, str, int]  # path, offset, size, status, mtime


class Archive:
    """Finds images by the paths that a list gives; `n02105855/n02105855_2933.JPEG` is also found in `n02105855.tar`."""

    def __init__(self, root: Path | None, notes: Notes) -> None:
        self.root = root
        self.notes = notes
        self._tars: dict[str, dict[str, Found] | None] = {}

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
                pa.array([row[0] for row in found], pa.string()),
                pa.array([row[1] for row in found], pa.int64()),
                pa.array([row[2] for row in found], pa.int64()),
                pa.array([row[3] for row in found], pa.string()),
                pa.array([licence] * n if isinstance(licence, str) else licence, pa.string()),
                pa.array([author] * n if isinstance(author, str) else author, pa.string()),
                pa.array([row[4] for row in found], pa.int64()),
            ],
            schema=IMAGES,
        )

    def find(self, path: str) -> Found:
        """Where one image lies; a path that leaves the root counts as missing."""
        if is_url(path):
            return path, WHOLE_FILE, -1, "not_fetched", 0
        parts = PurePosixPath(path).parts
        if self.root is None or not parts or parts[0] == "/" or ".." in parts:
            return path, WHOLE_FILE, -1, "missing", 0
        try:
            status = (self.root / path).stat()
        except (OSError, ValueError):
            inside = self._tar(parts[0]) if len(parts) > 1 else None
            return (inside or {}).get(parts[-1], (path, WHOLE_FILE, -1, "missing", 0))
        return path, WHOLE_FILE, status.st_size, "", status.st_mtime_ns

    def _tar(self, synset: str) -> dict[str, Found] | None:
        if synset not in self._tars:
            tar = self.root / f"{synset}.tar" if self.root else Path()
            self._tars[synset] = self._index(tar) if tar.is_file() else None
        return self._tars[synset]

    def _index(self, tar: Path) -> dict[str, Found]:
        mtime = tar.stat().st_mtime_ns
        return {
            PurePosixPath(member.name).name: (
                tar.name,
                member.offset,
                member.size,
                "" if member.whole else "truncated",
                mtime,
            )
            for member in members(tar, self.notes)
        }
