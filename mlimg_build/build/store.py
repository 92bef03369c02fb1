"""Results of stages on disk, each under the key of what it was made from."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlimg_build.dataset.durable import explaining_full_disk, sync_file
from mlimg_build.errors import BuildError, Problem
from mlimg_build.spec import digest_of

__all__ = ["ENTRY", "Key", "Store", "read_json", "write_synced"]

ENTRY = "entry.json"


@dataclass(frozen=True, slots=True)
class Key:
    """What decides a result: the stage, its format number, and the parts that it reads. No clock, host or path.

    `hint` is no part of the key: a digest of times of change that tells this machine to look again.
    """

    stage: str
    format: int
    parts: Mapping[str, Any]
    hint: str = ""

    @property
    def digest(self) -> str:
        """sha256 over the canonical JSON of stage, format and parts; hex."""
        return digest_of({"stage": self.stage, "format": self.format, "parts": dict(self.parts)})


class Store:
    """Entries below a folder, one a key: written under a temporary name, synced, renamed, never changed after."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: Key) -> Path:
        """Where the result of `key` lies, or will."""
        return self.folder(key.stage, key.digest)

    def folder(self, stage: str, digest: str) -> Path:
        """The same for the digest of a key."""
        return self.root / stage / digest[:2] / digest

    def has(self, key: Key) -> bool:
        """Says whether the result is there, and nothing hints that its sources or its own files changed since."""
        entry = self.entry(key)
        if entry is None or entry["hint"] != key.hint:
            return False
        folder = self.path(key)
        try:
            return all(_mark(folder / name) == mark for name, mark in entry["files"].items())
        except OSError:
            return False

    def entry(self, key: Key) -> dict[str, Any] | None:
        """The record of a result: its key's parts, its hint, its files and what the stage noted; None without one."""
        entry = read_json(self.path(key) / ENTRY)
        return entry if entry.keys() >= {"parts", "hint", "files", "notes"} else None

    @contextmanager
    def create(self, key: Key) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Gives an empty folder to fill and a dict for notes; on success the folder becomes the result of `key`.

        Where another task makes the same result at the same moment, one of the two stays. Raises `DatasetError`
        `disk-full`.
        """
        temporary = self.root / "tmp" / uuid4().hex
        notes: dict[str, Any] = {}
        try:
            with explaining_full_disk(self.root.parent.parent):
                temporary.mkdir(parents=True)
                yield temporary, notes
                files = {
                    path.relative_to(temporary).as_posix(): _mark(path)
                    for path in sorted(temporary.rglob("*"))
                    if path.is_file()
                }
                record = {"stage": key.stage, "format": key.format, "parts": key.parts, "hint": key.hint}
                told = {**record, "files": files, "notes": notes}
                write_synced(temporary / ENTRY, json.dumps(told, sort_keys=True).encode())
                self._place(temporary, key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def drop(self, key: Key) -> None:
        """Forgets a result, so that it is made again."""
        shutil.rmtree(self.path(key), ignore_errors=True)

    def _place(self, made: Path, key: Key) -> None:
        final = self.path(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(10):
            with suppress(FileNotFoundError):
                final.rename(self.root / "tmp" / uuid4().hex)
            try:
                made.rename(final)
            except OSError as error:  # another task was faster between the two renames
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                continue
            sync_file(final.parent)
            return

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other builds out of this store; raises `BuildError` where one is running."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise BuildError(
                    Problem(
                        "build-running",
                        f"a build or plan of {self.root.name} is running in {self.root.parent.parent}",
                        hint="wait for it, or give another --out",
                    )
                ) from error
            shutil.rmtree(self.root / "tmp", ignore_errors=True)
            for left in (self.root / "catalog").glob(".*"):  # of a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            yield

    def prune(self, kept: Iterable[Key]) -> int:
        """Removes results that are neither kept nor linked by a dataset, of the stages of `kept`; returns how many."""
        keys = list(kept)
        paths = {self.path(key) for key in keys}
        removed = 0
        for stage in {key.stage for key in keys}:
            for entry in (self.root / stage).glob(f"*/*/{ENTRY}"):
                if entry.parent not in paths and not _linked(entry.parent):
                    shutil.rmtree(entry.parent, ignore_errors=True)
                    removed += 1
        return removed


def _linked(folder: Path) -> bool:
    """Says whether another folder, a dataset, links to files of this one."""
    return any(path.stat().st_nlink > 1 for path in folder.rglob("*") if path.is_file())


def _mark(path: Path) -> list[int]:
    """What tells that a file was changed in place: its bytes and time of change."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file whose bytes are on the disk when the call returns."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
