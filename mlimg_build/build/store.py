"""Results of stages on disk, each under the key of what it was made from."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlimg_build.errors import BuildError, Problem
from mlimg_build.spec import digest_of

__all__ = ["ENTRY", "Key", "Store"]

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
        """Says whether the result is there and nothing hints that its sources changed since."""
        entry = self.entry(key)
        return entry is not None and entry["hint"] == key.hint

    def entry(self, key: Key) -> dict[str, Any] | None:
        """The record of a result: its key's parts, its hint and what the stage noted; None where there is none."""
        try:
            entry: dict[str, Any] = json.loads((self.path(key) / ENTRY).read_text())
        except (OSError, json.JSONDecodeError):
            return None
        return entry

    @contextmanager
    def create(self, key: Key) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Gives an empty folder to fill and a dict for notes; on success the folder becomes the result of `key`."""
        temporary = self.root / "tmp" / uuid4().hex
        temporary.mkdir(parents=True)
        notes: dict[str, Any] = {}
        try:
            yield temporary, notes
            record = {
                "stage": key.stage,
                "format": key.format,
                "parts": key.parts,
                "hint": key.hint,
                "notes": notes,
            }
            write_synced(temporary / ENTRY, json.dumps(record, sort_keys=True).encode())
            final = self.path(key)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                final.rename(self.root / "tmp" / uuid4().hex)
            temporary.rename(final)
            sync_folder(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

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
                        f"another build writes to {self.root.parent}",
                        hint="wait for it, or give another --out",
                    )
                ) from error
            shutil.rmtree(self.root / "tmp", ignore_errors=True)
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


def write_synced(path: Path, data: bytes) -> None:
    """Writes a file whose bytes are on the disk when the call returns."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Makes renames inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
