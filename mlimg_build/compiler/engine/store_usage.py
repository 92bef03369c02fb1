"""List the entries of a store, their disk usage, and when they were last used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CATALOG", "LEFTOVER", "Cost", "Entry", "cost_of", "entries_of", "last_used"]

CATALOG = "catalog"  # one folder per source, by its name, replaced in place
LEFTOVER = "tmp"  # left by killed runs


@dataclass(frozen=True, slots=True)
class Entry:
    """A result in a store; `digest` is that of its key, or for a catalog the name of its source."""

    stage: str
    digest: str
    path: Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes of files: removing them frees `own`; `linked` have another hard link, as in a dataset."""

    own: int = 0
    linked: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.own + other.own, self.linked + other.linked)


def entries_of(root: Path) -> Iterator[Entry]:
    """Yield the entries of the store at `root` by stage and digest, and what killed runs left."""
    for stage in _folders(root):
        if stage.name in (CATALOG, LEFTOVER):
            for folder in _folders(stage):
                yield Entry(LEFTOVER if folder.name.startswith(".") else stage.name, folder.name, folder)
        else:
            for part in _folders(stage):
                for folder in _folders(part):
                    yield Entry(stage.name, folder.name, folder)


def cost_of(folder: Path) -> Cost:
    """Return the bytes of the files below a folder; files that disappear meanwhile count as 0."""
    own = linked = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(f"{base}{os.sep}{name}")
            except OSError:
                continue
            if status.st_nlink > 1:
                linked += status.st_size
            else:
                own += status.st_size
    return Cost(own, linked)


def last_used(folder: Path) -> float:
    """Return when a result was last used, in seconds since 1970; 0 if it is gone."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def _folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; none if it is gone."""
    try:
        with os.scandir(parent) as found:
            return sorted(Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
