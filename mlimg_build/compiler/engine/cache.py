"""Store results of stages on disk, each under the key of its inputs."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlimg_build.atomic import explaining_full_disk, holding, sync_all, sync_file, write_synced
from mlimg_build.errors import Problem, TransientError
from mlimg_build.spec import digest_of

__all__ = ["ASK_AGAIN", "ENTRY", "Key", "PendingResults", "Store", "read_json"]

ENTRY = "entry.json"
ASK_AGAIN = "ask again"  # the hint of a result that every run recomputes


@dataclass(frozen=True, slots=True)
class Key:
    """What determines a result: the stage, its format number, and the inputs it reads. No clock, host or path.

    `hint` is not part of the key: it is a digest of modification times; if it differs, this machine checks again.
    """

    stage: str
    format: int
    parts: Mapping[str, Any]
    hint: str = ""
    digest: str = field(init=False)
    """sha256 over the canonical JSON of stage, format and parts; hex."""

    def __post_init__(self) -> None:
        told = {"stage": self.stage, "format": self.format, "parts": dict(self.parts)}
        object.__setattr__(self, "digest", digest_of(told))  # computed once, because it is read often


TRIES = 10  # attempts to rename a result while other processes write the same one


class Store:
    """Entries below a folder, one per key: written under a temporary name, synced, renamed, then never changed.

    The modification time of an entry's folder is when it was last used; no built content depends on it.
    """

    used: dict[str, set[str]]
    """The digests of the results that this object found or created, by stage."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.used = {}

    def path(self, key: Key) -> Path:
        """Return the folder of the result of `key`, which need not exist."""
        return self.folder(key.stage, key.digest)

    def folder(self, stage: str, digest: str) -> Path:
        """Return the folder of the result whose key has this digest, which need not exist."""
        return Path(self._place_of(stage, digest))

    def has(self, key: Key, *, asked_again: bool = False) -> bool:
        """Return whether the result exists, its hint is that of `key`, and its files are unchanged.

        With `asked_again`, a result with the hint `ASK_AGAIN` counts too: it was correct when it was created.
        """
        entry = self.entry(key)
        if entry is None or (entry["hint"] != key.hint and not (asked_again and entry["hint"] == ASK_AGAIN)):
            return False
        folder = f"{self._place_of(key.stage, key.digest)}{os.sep}"  # a string: there are 100,000s of files to check
        try:
            whole = all(_mark(folder + name) == mark for name, mark in entry["files"].items())
        except OSError:
            return False
        if whole:
            self.use(key.stage, key.digest, folder)
        return whole

    def use(self, stage: str, digest: str, folder: Path | str) -> None:
        """Record that the result in `folder` is used now."""
        self.used.setdefault(stage, set()).add(digest)
        with suppress(OSError):  # owned by another user, or on a read-only disk
            os.utime(folder)

    def entry(self, key: Key) -> dict[str, Any] | None:
        """Return the record of a result: its key's parts, its hint, its files and its notes; None if there is none."""
        entry = read_json(f"{self._place_of(key.stage, key.digest)}{os.sep}{ENTRY}")
        return entry if entry.keys() >= {"parts", "hint", "files", "notes"} else None

    def _place_of(self, stage: str, digest: str) -> str:
        return f"{self.root}{os.sep}{stage}{os.sep}{digest[:2]}{os.sep}{digest}"

    @contextmanager
    def create(self, key: Key) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield an empty folder to fill and a dict for notes; on success the folder becomes the result of `key`.

        A `hint` among the notes replaces the key's: what the stage itself observed, or `ASK_AGAIN`. If another task
        creates the same result at the same time, one of the two is kept.

        Raises:
            DatasetError: `disk-full` if the disk is full.
            TransientError: `result-contested` if others keep writing the same result.
        """
        temporary = self.root / "tmp" / uuid4().hex
        try:
            with explaining_full_disk(self.root.parent.parent), self.filling(temporary, key) as notes:
                yield temporary, notes
            self.put(temporary, key)
            sync_file(self.path(key).parent)
            self.used.setdefault(key.stage, set()).add(key.digest)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @contextmanager
    def batch(self) -> Iterator[PendingResults]:
        """Yield a `PendingResults` for many small results, which are synced together and stored at the end.

        Results that were finished before an error are stored too. Raises the errors of `create`.
        """
        folder = self.root / "tmp" / uuid4().hex
        batch = PendingResults(self, folder)
        try:
            with explaining_full_disk(self.root.parent.parent):
                folder.mkdir(parents=True)
                try:
                    yield batch
                finally:
                    batch.place()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def filling(self, temporary: Path, key: Key, sync: bool = True) -> Iterator[dict[str, Any]]:
        """Yield a dict for notes while `temporary` is filled, then write there the record of the result of `key`."""
        notes: dict[str, Any] = {}
        temporary.mkdir(parents=True)
        yield notes
        hint = notes.pop("hint", key.hint)
        record = {"stage": key.stage, "format": key.format, "parts": key.parts, "hint": hint}
        told = {**record, "files": _marks(temporary), "notes": notes}
        data = json.dumps(told, sort_keys=True).encode()
        if sync:
            write_synced(temporary / ENTRY, data)
        else:
            (temporary / ENTRY).write_bytes(data)

    def drop(self, key: Key) -> None:
        """Delete a result, so that it is recomputed."""
        shutil.rmtree(self.path(key), ignore_errors=True)

    def put(self, made: Path, key: Key) -> None:
        """Rename the filled folder `made` to the result of `key`, replacing one that exists.

        Raises:
            TransientError: `result-contested` if others keep writing the same result.
        """
        final = self.path(key)
        final.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(TRIES):
            with suppress(FileNotFoundError):
                final.rename(self.root / "tmp" / uuid4().hex)
            try:
                made.rename(final)
            except OSError as error:  # another task was faster between the two renames
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                continue
            return
        message = f"{final} is written again and again by others; this result had no place {TRIES} times"
        hint = "let one build at a time write into a store"
        raise TransientError(Problem("result-contested", message, hint=hint))

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Lock this store against other builds and remove what killed runs left. Raises `BuildError` as `holding`."""
        self.root.mkdir(parents=True, exist_ok=True)
        busy = Problem(
            "build-running",
            f"a build or plan of {self.root.name} is running in {self.root.parent.parent}",
            hint="wait for it, or give another --out",
        )
        with holding(self.root / "lock", busy):
            shutil.rmtree(self.root / "tmp", ignore_errors=True)
            for left in (self.root / "catalog").glob(".*"):  # left by a run that was killed
                shutil.rmtree(left, ignore_errors=True)
            yield

    def remove(self, folder: Path) -> None:
        """Remove a folder of the store; it is renamed first, so that a killed process never leaves it half removed."""
        gone = self.root / "tmp" / uuid4().hex
        gone.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(OSError):  # the parent is not empty
            folder.parent.rmdir()


class PendingResults:
    """Results that are not yet in the store; see `Store.batch`."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._made: list[tuple[Path, Key]] = []

    @contextmanager
    def create(self, key: Key) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield an empty folder to fill and a dict for notes, for the result of `key`."""
        temporary = self._folder / str(len(self._made))
        with self._store.filling(temporary, key, sync=False) as notes:
            yield temporary, notes
        self._made.append((temporary, key))

    def place(self) -> None:
        """Sync all created results to the disk, then move each into the store."""
        if self._made:
            sync_all(self._folder)
        for made, key in self._made:  # if a power cut undoes a rename, that result is only recomputed
            self._store.put(made, key)


def _marks(folder: Path, prefix: str = "") -> dict[str, list[int]]:
    """Return the size and modification time of every file below a folder, by its path in the folder."""
    marks: dict[str, list[int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                marks |= _marks(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                status = entry.stat()
                marks[prefix + entry.name] = [status.st_size, status.st_mtime_ns]
    return marks


def _mark(path: str) -> list[int]:
    """Return the size and modification time of a file, which show whether it was changed in place."""
    status = os.stat(path)  # noqa: PTH116  a Path costs more than the call
    return [status.st_size, status.st_mtime_ns]


def read_json(path: Path | str) -> dict[str, Any]:
    """Return the JSON object in a file; empty if the file cannot be read or holds none."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  a Path costs more than the call
            found = json.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
