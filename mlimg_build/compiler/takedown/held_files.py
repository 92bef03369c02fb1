"""Look through files for listed images: exports, listings, folders of pictures, archives; one piece at a time."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.compiler.takedown.held_images import Finding, Listed
from mlimg_build.csv_cells import unguarded
from mlimg_build.exporters.keys import key_of
from mlimg_build.regular_files import open_regular

__all__ = ["HeldFiles"]

PIECE = 1 << 20  # bytes read at a time
LONGEST_LINE = 1 << 22  # characters of a line that are looked at together
ROWS = 1024  # of a Parquet file at a time
NESTED = 3  # archives within archives
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
TABLES = {".csv": ",", ".tsv": "\t"}
TEXTS = (".txt", ".json", ".jsonl", ".ndjson", ".html", ".htm", ".md", ".yaml", ".yml", ".log", ".xml")
WORDS = re.compile(r"[^\s\"'<>,;|`()\[\]{}]+")
UNREADABLE = (
    *(OSError, EOFError, ValueError, RecursionError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, pa.ArrowException),
)
WITHDRAWN = "withdrawn"  # a row or an object that says so may name its image
Unread = Callable[[str], None]


class HeldFiles:
    """Finds listed images in files; `unread` is called with what could not be looked into, and why."""

    def __init__(self, listed: Listed, unread: Unread, passed_over: Iterable[Path] = ()) -> None:
        self._listed, self._unread = listed, unread
        self._keys = {key_of(image): image for image in listed.ids}
        self._passed_over = {path.resolve() for path in passed_over}

    def below(self, root: Path, without: Collection[str] = ()) -> Iterator[Finding]:
        """Yield what a file holds, or all files below a folder but some folders; links to folders are not followed."""
        if str(root) in without:
            return
        if not root.is_dir():
            yield from self.file(root)
            return
        for folder, folders, names in os.walk(root, onerror=lambda error: self._unread(str(error))):
            folders[:] = sorted(name for name in folders if os.path.join(folder, name) not in without)  # noqa: PTH118
            for name in sorted(names):
                yield from self.file(Path(folder, name))

    def file(self, path: Path) -> Iterator[Finding]:
        """Yield what one file holds."""
        if path.resolve() in self._passed_over:
            return
        yield from self._named(path.name, str(path), str(path))
        try:
            with os.fdopen(open_regular(path), "rb") as stream:
                yield from self._content(path.name.lower(), stream, str(path), path)
        except UNREADABLE as error:
            self._unread(f"{path}: {error}")

    def _content(
        self, name: str, stream: IO[bytes], place: str, path: Path | None, depth: int = 0
    ) -> Iterator[Finding]:
        """Yield what the bytes of a file hold, by its name; every file is compared by its sha256, too."""
        if name.endswith(TARS) and depth < NESTED:
            yield from self._tar(stream, place, depth)
            return
        if name.endswith((".zip", ".npz")) and path is not None:
            yield from self._zip(path, place, depth)
        elif name.endswith((".parquet", ".arrow")) and path is not None:
            yield from self._parquet(path, place)
        elif name.endswith(".gz"):
            inner = cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
            yield from self._content(name.removesuffix(".gz"), inner, f"{place}, unpacked", None, depth + 1)
            if path is not None:
                yield from self._whole(path, place)
            return
        elif name.endswith(tuple(TABLES)):
            yield from self._table(_Hashed(stream), TABLES[name[-4:]], place)
            return
        elif name.endswith(TEXTS):
            yield from self._text(_Hashed(stream), place)
            return
        digest = hashlib.sha256()
        while piece := stream.read(PIECE):
            digest.update(piece)
        yield from self._digest(digest.hexdigest(), place)

    def _whole(self, path: Path, place: str) -> Iterator[Finding]:
        with path.open("rb") as stream:
            yield from self._digest(hashlib.file_digest(stream, "sha256").hexdigest(), place)

    def _digest(self, sha256: str, place: str) -> Iterator[Finding]:
        if sha256 in self._listed.digests:
            yield Finding(sha256, "bytes", place)

    def _named(self, name: str, what: str, place: str) -> Iterator[Finding]:
        """Yield a finding if a file has the name that an export gives a listed image."""
        stem = (
            what.partition(".")[0]
            if "/" not in what
            else f"{what.rpartition('/')[0]}/{name.partition('.')[0]}"
        )
        for start in _tails(stem):
            if start in self._keys:
                yield Finding(self._keys[start], "a file with its name", place)
                return

    def _tar(self, stream: IO[bytes], place: str, depth: int) -> Iterator[Finding]:
        with tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps every member
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    continue
                where = f"{place}, member {member.name}"
                if not member.name.endswith(".json"):
                    yield from self._named(member.name.rpartition("/")[2], member.name, where)
                yield from self._content(member.name.lower(), content, where, None, depth + 1)

    def _zip(self, path: Path, place: str, depth: int) -> Iterator[Finding]:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.is_dir():
                    continue
                where = f"{place}, member {member.filename}"
                yield from self._named(member.filename.rpartition("/")[2], member.filename, where)
                with archive.open(member) as content:
                    if member.filename.endswith(".npy"):
                        yield from self._array(content, where)
                    else:
                        yield from self._content(member.filename.lower(), content, where, None, depth + 1)

    def _array(self, stream: IO[bytes], place: str) -> Iterator[Finding]:
        """Yield the texts and files of a NumPy array; its rows are read a piece at a time."""
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            self._unread(f"{place}: an array of Python objects is not looked into")
            return
        if dtype.kind not in "US":
            return
        for _ in range(int(np.prod(shape, dtype=np.int64))):
            value = np.frombuffer(stream.read(dtype.itemsize), dtype, 1)[0]
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            yield from self._value(text, place)

    def _parquet(self, path: Path, place: str) -> Iterator[Finding]:
        batches: Iterable[pa.RecordBatch]
        if path.suffix == ".arrow":
            with pa.memory_map(str(path)) as source:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
                yield from self._batches(batches, place)
            return
        with pq.ParquetFile(path) as file:
            yield from self._batches(file.iter_batches(batch_size=ROWS), place)

    def _batches(self, batches: Iterable[pa.RecordBatch], place: str) -> Iterator[Finding]:
        first = 0
        for batch in batches:
            for number, row in enumerate(batch.to_pylist()):
                where = f"{place}, row {first + number}"
                if WITHDRAWN in row.values():
                    continue
                yield from self._nested(row, where)
            first += len(batch)

    def _nested(self, value: Any, place: str) -> Iterator[Finding]:
        """Yield the texts and files in nested values."""
        if isinstance(value, str):
            yield from self._value(value, place)
        elif isinstance(value, bytes):
            yield from self._digest(hashlib.sha256(value).hexdigest(), place)
        elif isinstance(value, dict):
            if value.get("status") == WITHDRAWN:
                return
            for item in value.values():
                yield from self._nested(item, place)
        elif isinstance(value, list | tuple):
            for item in () if WITHDRAWN in value else value:
                yield from self._nested(item, place)

    def _value(self, text: str, place: str) -> Iterator[Finding]:
        entry = self._listed.names(text) or self._keys.get(text, "")
        if entry:
            yield Finding(entry, "its id or URL", place)
        elif len(text) == 64 and text.lower() in self._listed.digests:
            yield Finding(text.lower(), "its sha256", place)

    def _table(self, stream: _Hashed, separator: str, place: str) -> Iterator[Finding]:
        text = TextIOWrapper(stream, "utf-8", "replace", newline="")  # type: ignore[type-var]
        limit = csv.field_size_limit(LONGEST_LINE)
        try:
            for number, row in enumerate(csv.reader(text, delimiter=separator), start=1):
                if WITHDRAWN in row:
                    continue
                for cell in row:
                    yield from self._value(unguarded(cell), f"{place}, row {number}")
        except csv.Error as error:
            self._unread(f"{place}: {error}")
        finally:
            csv.field_size_limit(limit)
        stream.drain()
        yield from self._digest(stream.digest.hexdigest(), place)

    def _text(self, stream: _Hashed, place: str) -> Iterator[Finding]:
        text = TextIOWrapper(stream, "utf-8", "replace")  # type: ignore[type-var]
        number = 0
        while line := text.readline(LONGEST_LINE):
            number += 1
            where = f"{place}, line {number}"
            if line.lstrip().startswith(("{", "[")):
                try:
                    yield from self._nested(json.loads(line), where)
                    continue
                except ValueError:
                    pass
            for word in {line.strip(), *WORDS.findall(line)}:
                yield from self._value(word, where)
        yield from self._digest(stream.digest.hexdigest(), place)


class _Hashed:
    """A stream of bytes that digests what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(PIECE if size < 0 else size)
        self.digest.update(data)
        return data

    read1 = read

    def drain(self) -> None:
        """Read what is left."""
        while self.read(PIECE):
            pass

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing: who opened the stream closes it."""


def _tails(path: str) -> Iterator[str]:
    """Yield a path and what is left of it without its first folders.

    >>> list(_tails("a/b/c"))
    ['a/b/c', 'b/c', 'c']
    """
    while path:
        yield path
        path = path.partition("/")[2]
