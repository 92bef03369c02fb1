"""Store results of stages on disk, each under the key of its inputs."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlimg_build.atomic import (
    exchange_names,
    explaining_full_disk,
    fit_modes,
    holding,
    process_umask,
    save_json,
    sync_all,
    sync_file,
    write_synced,
)
from mlimg_build.compiler.engine.checksums import (
    BIGGEST,
    Checks,
    file_sums,
    files_flaw,
    read_sealed,
    sealed,
)
from mlimg_build.compiler.engine.scratch_folders import discard, remove_abandoned, scratch_folder
from mlimg_build.errors import Problem, TransientError
from mlimg_build.regular_files import read_object
from mlimg_build.spec import digest_of

__all__ = ["ASK_AGAIN", "ENTRY", "Key", "PendingResults", "Store", "read_entry", "read_json", "write_json"]

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

    The modification time of an entry's folder is when it was last used; no built content depends on it. `checks` tells
    how much of the content `sound` and `flaw` compare with checksums. With `umask`, what this process writes gets the
    modes of a process with that mask.
    """

    used: dict[str, set[str]]
    """The digests of the results that this object found or created, by stage."""
    damaged: list[str]
    """What `sound` removed since this object was made, and why."""

    def __init__(self, root: Path, checks: Checks = "sample", umask: int | None = None) -> None:
        self.root = root
        self.checks = checks
        self.used = {}
        self.damaged = []
        self._umask = None if umask is None or umask == process_umask() else umask

    def path(self, key: Key) -> Path:
        """Return the folder of the result of `key`, which need not exist."""
        return self.folder(key.stage, key.digest)

    def folder(self, stage: str, digest: str) -> Path:
        """Return the folder of the result whose key has this digest, which need not exist."""
        return Path(self._place_of(stage, digest))

    def has(self, key: Key, *, asked_again: bool = False) -> bool:
        """Return whether the result exists, its hint is that of `key`, and its files have their sizes and times.

        With `asked_again`, a result with the hint `ASK_AGAIN` counts too: it was correct when it was created.
        """
        entry = self.entry(key)
        if entry is None or (entry["hint"] != key.hint and not (asked_again and entry["hint"] == ASK_AGAIN)):
            return False
        folder = f"{self._place_of(key.stage, key.digest)}{os.sep}"  # a string: there are 100,000s of files to check
        try:
            whole = all(_mark(folder + name) == mark[:2] for name, mark in entry["files"].items())
        except OSError:
            return False
        if whole:
            self.use(key.stage, key.digest, folder)
        return whole

    def sound(self, key: Key) -> bool:
        """Return whether the store has the result and its files match their checksums; if they do not, remove it."""
        if not self.has(key):
            return False
        flaw = self.flaw(key)
        if flaw is not None:
            self.drop(key)
            self.damaged.append(f"{key.stage}: {flaw}")
        return flaw is None

    def flaw(self, key: Key) -> str | None:
        """Return what is wrong with the content of a result, in a few words; None if `checks` finds nothing.

        Files without checksums, those that `create` was told of, are not read.
        """
        entry = self.entry(key)
        if entry is None:
            return "its record is damaged"
        sums = {
            name: [mark[0], *mark[2:]]
            for name, mark in entry["files"].items()
            if len(mark) > 2 or not mark[0]
        }
        return files_flaw(self.path(key), sums, self.checks)

    def use(self, stage: str, digest: str, folder: Path | str) -> None:
        """Record that the result in `folder` is used now."""
        self.used.setdefault(stage, set()).add(digest)
        with suppress(OSError):  # owned by another user, or on a read-only disk
            os.utime(folder)

    def entry(self, key: Key) -> dict[str, Any] | None:
        """Return the record of a result: its key's parts, its hint, its files and its notes; None if there is none.

        A record that differs from its checksum, or that is another key's, counts as none.
        """
        entry = read_entry(self._place_of(key.stage, key.digest))
        known = {name: entry.get(name) for name in ("stage", "format", "parts")}
        return entry if known["stage"] == key.stage and digest_of(known) == key.digest else None

    def _place_of(self, stage: str, digest: str) -> str:
        return f"{self.root}{os.sep}{stage}{os.sep}{digest[:2]}{os.sep}{digest}"

    @contextmanager
    def create(self, key: Key, unsummed: str = "/") -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield an empty folder to fill and a dict for notes; on success the folder becomes the result of `key`.

        A `hint` among the notes replaces the key's: what the stage itself observed, or `ASK_AGAIN`. If another task
        creates the same result at the same time, one of the two is kept. Files whose path begins with `unsummed` get no
        checksum, as they have digests of their own.

        Raises:
            DatasetError: `disk-full` if the disk is full.
            TransientError: `result-contested` if others keep writing the same result.
        """
        with explaining_full_disk(self.root.parent.parent), self.scratch() as temporary:
            with self.filling(temporary, key, unsummed) as notes:
                yield temporary, notes
            self.put(temporary, key)
            sync_file(self.path(key).parent)
        self.used.setdefault(key.stage, set()).add(key.digest)

    @contextmanager
    def batch(self) -> Iterator[PendingResults]:
        """Yield a `PendingResults` for many small results, which are synced together and stored at the end.

        Results that were finished before an error are stored too. Raises the errors of `create`.
        """
        with explaining_full_disk(self.root.parent.parent), self.scratch() as folder:
            batch = PendingResults(self, folder)
            try:
                yield batch
            finally:
                batch.place()

    @contextmanager
    def filling(
        self, temporary: Path, key: Key, unsummed: str = "/", sync: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Yield a dict for notes while `temporary` is filled, then write there the record of the result of `key`."""
        notes: dict[str, Any] = {}
        temporary.mkdir(exist_ok=True)
        yield notes
        hint = notes.pop("hint", key.hint)
        record = {"stage": key.stage, "format": key.format, "parts": key.parts, "hint": hint}
        told = {**record, "files": _marks(temporary, unsummed), "notes": notes}
        data = sealed(json.dumps(told, sort_keys=True))
        if sync:
            write_synced(temporary / ENTRY, data)
        else:
            (temporary / ENTRY).write_bytes(data)
        if self._umask is not None:
            fit_modes(temporary, self._umask)

    def scratch(self) -> AbstractContextManager[Path]:
        """Return a context manager of a new folder, which nobody else removes and which is gone at the end."""
        return scratch_folder(self.root / "tmp")

    def drop(self, key: Key) -> None:
        """Delete a result, so that it is recomputed."""
        discard(self.path(key), self.root / "tmp")

    def put(self, made: Path, key: Key) -> None:
        """Rename the filled folder `made` to the result of `key`, replacing one that exists.

        If the file system can exchange names, a reader finds a result at every moment.

        Raises:
            TransientError: `result-contested` if others keep writing the same result.
        """
        final = self.path(key)
        self._make_parents(final)
        for _ in range(TRIES):
            if exchange_names(made, final):  # there was one, which is removed with its new place
                return
            self.drop(key)
            try:
                made.rename(final)
            except OSError as error:  # another task was faster between the two renames
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
                continue
            return
        message = f"{final} is written again and again by others; this result had no place {TRIES} times"
        hint = "let one build at a time write into a store"
        raise TransientError(Problem("result-contested", message, hint=hint))

    def _make_parents(self, final: Path) -> None:
        """Create the folders above a result; a file that lies in their place is removed."""
        for folder in (final.parents[1], final.parents[0]):
            if folder.is_dir():
                continue
            if os.path.lexists(folder):
                discard(folder, self.root / "tmp")
            folder.mkdir(parents=True, exist_ok=True)
            if self._umask is not None:
                folder.chmod(0o777 & ~self._umask)

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
            if os.path.lexists(self.root / "tmp") and not (self.root / "tmp").is_dir():
                (self.root / "tmp").unlink()
            self.clean()
            for left in (self.root / "catalog").glob(".*"):  # only the holder of this lock writes there
                shutil.rmtree(left, ignore_errors=True)
            try:
                yield
            finally:
                self.clean()

    def clean(self) -> None:
        """Remove what killed tasks and runs left; what a task is writing stays, whichever build it belongs to."""
        remove_abandoned(self.root / "tmp")

    def remove(self, folder: Path) -> None:
        """Remove a folder of the store; it is renamed first, so that a killed process never leaves it half removed."""
        discard(folder, self.root / "tmp")
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


def _marks(folder: Path, unsummed: str, prefix: str = "") -> dict[str, list[int]]:
    """Return the size, the modification time and the checksums of every file below a folder, by its path."""
    marks: dict[str, list[int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                marks |= _marks(Path(entry.path), unsummed, f"{name}/")
            else:
                status = entry.stat()
                sums = [] if name.startswith(unsummed) else file_sums(entry.path)[1:]
                marks[name] = [status.st_size, status.st_mtime_ns, *sums]
    return marks


def _mark(path: str) -> list[int]:
    """Return the size and modification time of a file, which show whether it was changed in place."""
    status = os.stat(path)  # noqa: PTH116  a Path costs more than the call
    return [status.st_size, status.st_mtime_ns]


def read_entry(place: str) -> dict[str, Any]:
    """Return the record of the result in the folder `place`; empty if there is none or it is damaged."""
    try:
        return read_sealed(f"{place}{os.sep}{ENTRY}")
    except (OSError, ValueError):
        return {}


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if the file cannot be read or holds none."""
    try:
        return read_object(path, BIGGEST)
    except (OSError, ValueError):
        return {}


def write_json(path: Path, value: object) -> None:
    """Write a record of a store as JSON, whole and synced; a folder that lies in its place is removed."""
    if path.is_dir():
        discard(path, path.parent / "tmp")
    save_json(path, value)
