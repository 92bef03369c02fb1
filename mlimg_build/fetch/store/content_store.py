"""A store of files under the sha256 of their bytes: in a folder, or in an object store by its URL."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from mlimg_build.atomic import explaining_full_disk
from mlimg_build.errors import BuildError, Problem, TransientError
from mlimg_build.fetch.store.object_listing import Listing, list_objects
from mlimg_build.regular_files import open_regular

__all__ = ["ContentStore", "FolderStore", "ObjectStore", "open_content_store"]

OBJECTS = "objects"
LISTING_SECONDS = 600.0
QUESTIONS = 32  # whether objects are there, asked at a time
SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_NUMBERS = itertools.count()


class ContentStore(Protocol):
    """Files by the sha256 (hex) of their bytes, each written whole or not at all; threads and processes share one."""

    def write(self, data: bytes) -> str:
        """Store a file if it is not there yet, and return its sha256."""

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a file, None if it is not there or its bytes are damaged; a damaged one is removed."""

    def has(self, digest: str, size: int) -> bool:
        """Return whether a file of this many bytes is there; its bytes are not read."""

    def lacking(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the digests, of those with the bytes that their files have, whose files are not there."""

    def remove(self, digest: str) -> bool:
        """Remove a file; return whether it was there."""

    def digests(self) -> Iterator[str]:
        """Yield the digest of every file, in no order."""


def open_content_store(place: str) -> ContentStore:
    """Return the store in a folder, or at a URL such as s3://bucket/prefix, gs://…, az://…, file:///….

    Raises:
        BuildError: `store-unusable` if the folder is a file, or no store can be opened at the URL;
            `extra-missing` if the extra `fetch` is needed and not installed.
    """
    if SCHEME.match(place):
        return ObjectStore(place)
    return FolderStore(Path(place))


def object_path(digest: str) -> str:
    """Return where a file lies below its store: in one of 256 folders, 27,000 in each for seven million files.

    More folders cost more: a new folder takes as long as a file, and lies elsewhere on the disk than its neighbours.

    >>> object_path("ab12" + 60 * "0")[:15]
    'objects/ab/ab12'
    """
    return f"{OBJECTS}/{digest[:2]}/{digest}"


class FolderStore:
    """The store in a folder; it is made if it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._begin = f"{self.root}/"
        self._writer = os.urandom(8).hex()
        try:
            if not (self.root / OBJECTS).is_dir():  # one that may only be read is not written to
                (self.root / OBJECTS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"the store {root} cannot be made: {error.strerror}"
            raise BuildError(Problem("store-unusable", message, hint="give a folder to --store")) from error

    def write(self, data: bytes) -> str:
        """Store a file if it is not there yet, and return its sha256.

        It is not synced: after a power cut a file may be damaged, which reading finds.
        """
        digest = hashlib.sha256(data).hexdigest()
        if self.has(digest, len(data)):
            return digest
        path = self._begin + object_path(digest)  # strings: a Path costs as much as writing does
        temporary = f"{self._begin}tmp/{os.getpid()}-{next(_NUMBERS)}-{self._writer}"
        with explaining_full_disk(self.root):
            try:
                try:
                    _write(temporary, data)
                except FileNotFoundError:
                    (self.root / "tmp").mkdir(exist_ok=True)
                    _write(temporary, data)
                try:
                    os.rename(temporary, path)  # noqa: PTH104
                except FileNotFoundError:  # its folder is not there yet
                    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                    os.rename(temporary, path)  # noqa: PTH104
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)  # noqa: PTH108
                raise
        return digest

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a file, None if it is not there or its bytes are damaged; a damaged one is removed."""
        path = self.root / object_path(digest)
        try:
            with os.fdopen(open_regular(path), "rb") as stream:
                data = stream.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            message = f"the store {self.root} cannot be read: {error.strerror}"
            raise TransientError(Problem("store-unreadable", message, hint="check the disk")) from error
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        with suppress(OSError):  # who may only read leaves it there
            path.unlink(missing_ok=True)
        return None

    def has(self, digest: str, size: int) -> bool:
        """Return whether a file of this many bytes is there; its bytes are not read."""
        try:
            return os.stat(self._begin + object_path(digest)).st_size == size  # noqa: PTH116  called often
        except FileNotFoundError:
            return False

    def lacking(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the digests, of those with the bytes that their files have, whose files are not there."""
        return {digest for digest, size in sizes.items() if not self.has(digest, size)}

    def remove(self, digest: str) -> bool:
        """Remove a file; return whether it was there."""
        try:
            (self.root / object_path(digest)).unlink()
        except FileNotFoundError:
            return False
        return True

    def digests(self) -> Iterator[str]:
        """Yield the digest of every file, in no order."""
        for folder, _, names in os.walk(self.root / OBJECTS):
            for name in names:
                if object_path(name).endswith(f"/{folder[-2:]}/{name}"):
                    yield name

    def sweep(self) -> None:
        """Remove what killed processes left half written; only while nobody writes."""
        for path in (self.root / "tmp").glob("*"):
            path.unlink(missing_ok=True)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


class ObjectStore:
    """The store at a URL, through the library obstore, which writes an object whole or not at all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._listing: Listing | None = None
        self._listed_at = 0.0
        try:
            self._library = import_module("obstore")
            stores = import_module("obstore.store")
        except ImportError as error:
            hint = "pip install 'mlimg[fetch]'"
            message = "object stores need the extra `fetch`"
            raise BuildError(Problem("extra-missing", message, hint=hint)) from error
        try:
            self._store: Any = stores.from_url(url)
        except Exception as error:
            message = f"no store can be opened at {url}: {_line(error)}"
            raise BuildError(Problem("store-unusable", message, hint="give s3://BUCKET/PREFIX")) from error

    def write(self, data: bytes) -> str:
        """Store a file if it is not there yet, and return its sha256."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest, len(data)):
            self._done(lambda: self._library.put(self._store, object_path(digest), data))
        return digest

    def read(self, digest: str) -> bytes | None:
        """Return the bytes of a file, None if it is not there or its bytes are damaged; a damaged one is removed."""
        found = self._done(lambda: bytes(self._library.get(self._store, object_path(digest)).bytes()))
        if found is None or hashlib.sha256(found).hexdigest() == digest:
            return None if found is None else bytes(found)
        with suppress(TransientError):  # who may only read leaves it there
            self.remove(digest)
        return None

    def has(self, digest: str, size: int) -> bool:
        """Return whether a file of this many bytes is there; its bytes are not read."""
        found = self._done(lambda: self._library.head(self._store, object_path(digest)))
        return found is not None and int(found["size"]) == size

    def lacking(self, sizes: Mapping[str, int]) -> set[str]:
        """Return the digests, of those with the bytes that their files have, whose files are not there.

        Asks for `QUESTIONS` of them at a time; where there are many, the store is listed, and those alone are asked for
        that were not listed. A listing counts for `LISTING_SECONDS`.
        """
        if self._listing is None or time.monotonic() - self._listed_at > LISTING_SECONDS:
            self._listed_at = time.monotonic()
            self._listing = list_objects(self._listed, len(sizes))
        if self._listing is not None:
            sizes = {digest: sizes[digest] for digest in self._listing.lacking(sizes)}
        with ThreadPoolExecutor(QUESTIONS) as threads:
            there = threads.map(self.has, sizes.keys(), sizes.values())
            return {digest for digest, is_there in zip(sizes, there, strict=True) if not is_there}

    def _listed(self, folder: str) -> Iterator[tuple[str, int]]:
        """Yield (sha256, bytes) of the objects in a folder."""
        for batch in self._done(lambda: list(self._library.list(self._store, f"{OBJECTS}/{folder}"))) or ():
            yield from ((str(one["path"]).rpartition("/")[2], int(one["size"])) for one in batch)

    def remove(self, digest: str) -> bool:
        """Remove a file; return whether it was there."""
        there = self._done(lambda: self._library.head(self._store, object_path(digest))) is not None
        if there:
            self._done(lambda: self._library.delete(self._store, object_path(digest)))
        self._listing = None
        return there

    def digests(self) -> Iterator[str]:
        """Yield the digest of every file, in no order."""
        for batch in self._library.list(self._store, prefix=OBJECTS):
            for one in batch:
                yield str(one["path"]).rpartition("/")[2]

    def _done(self, work: Any) -> Any:
        """Return what `work` returns, None if there is no such object.

        Raises:
            TransientError: `store-unreadable` for every other failure.
        """
        try:
            return work()
        except FileNotFoundError:
            return None
        except Exception as error:
            message = f"the store {self.url} does not work: {_line(error)}"
            raise TransientError(Problem("store-unreadable", message, hint="run it again later")) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
