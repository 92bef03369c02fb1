"""The ledger of a store: the last known state of every URL that was asked for, and whether to ask again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.outcomes import NEVER, STATES, State
from mlimg_build.fetch.store.ledger_log import Record, closed_log, read_log

__all__ = ["Ledger", "url_key", "worth_asking"]

SCHEMA_VERSION = 1
_TABLES = """
create table urls (
    key blob primary key, url text not null, state integer not null, answer text not null, digest text not null,
    size integer not null, attempts integer not null, time real not null, signals text not null
) without rowid;
"""
_COLUMNS = "url, state, answer, digest, size, attempts, time, signals"
_PUT = f"insert or replace into urls (key, {_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
_GET = f"select {_COLUMNS} from urls where key in "  # noqa: S608
BATCH = 500  # of the values that one statement takes
MOVE = "move it away; what the store holds is found again when its URLs are asked for"
WAIT = 60.0  # seconds for another process that writes


def url_key(url: str) -> bytes:
    """Return the key of a URL in the ledger: 16 bytes of the sha256 of its text, as it is written."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()[:16]


def worth_asking(record: Record | None, now: float) -> bool:
    """Return whether a URL is to be asked for: never before, or its state is as old as `State.again` says (seconds).

    A clock that was set back counts as an age of 0.

    >>> worth_asking(None, 0.0), worth_asking(Record("", State.temporary, time=9.0), 9.0)
    (True, True)
    >>> worth_asking(Record("", State.gone, time=0.0), 3600.0), worth_asking(Record("", State.ok), 1e12)
    (False, False)
    """
    if record is None:
        return True
    return record.state.again < NEVER and max(now - record.time, 0.0) >= record.state.again


class Ledger:
    """The ledger in a folder: `log/` is appended by whoever fetches, `urls.sqlite` is what was compacted.

    One process compacts at a time; the log may grow meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        """Open the ledger, which is made if it is not there.

        Raises:
            BuildError: `ledger-unreadable` if its file is none that this version reads.
        """
        self.folder = folder
        (folder / "log").mkdir(parents=True, exist_ok=True)
        path = folder / "urls.sqlite"
        try:
            self._base = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
            self._base.execute("pragma synchronous = full")
            version = self._base.execute("pragma user_version").fetchone()[0]
            if version == 0:
                self._base.executescript(
                    f"begin exclusive; {_TABLES} pragma user_version = {SCHEMA_VERSION}; commit;"
                )
        except sqlite3.Error as error:
            version = str(error)
        if version not in (0, SCHEMA_VERSION):
            message = f"the ledger {path} cannot be read: {version}"
            raise BuildError(Problem("ledger-unreadable", message, hint=MOVE))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def compact(self) -> int:
        """Take the log into the table, and remove its files; return how many records it had.

        Idempotent: of two records of a URL the later counts, attempts in one state are added up. A file that a
        process has open is left to the next time. Being killed loses nothing.
        """
        taken = 0
        for path in sorted((self.folder / "log").iterdir()):
            file = closed_log(path)
            if file is None:
                continue
            try:
                records = list(read_log(path))
                with self._writing() as cursor:
                    cursor.executemany(_PUT, self._later(records))
                path.unlink(missing_ok=True)
            finally:
                os.close(file)
            taken += len(records)
        return taken

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        """Yield a cursor of a transaction, which is committed unless an error is raised."""
        with self._told(), closing(self._base.cursor()) as cursor:
            cursor.execute("begin immediate")
            try:
                yield cursor
                cursor.execute("commit")
            except BaseException:
                if self._base.in_transaction:
                    cursor.execute("rollback")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite raises into `BuildError`.

        Raises:
            BuildError: `ledger-busy` if another process writes for over a minute, else `ledger-unreadable`.
        """
        try:
            yield
        except sqlite3.Error as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            message = f"the ledger in {self.folder} cannot be used: {error}"
            hint = "wait for the other build that fetches into this store" if busy else MOVE
            raise BuildError(
                Problem("ledger-busy" if busy else "ledger-unreadable", message, hint=hint)
            ) from error

    def find(self, urls: Sequence[str]) -> dict[str, Record]:
        """Return the records of those URLs that have one."""
        found: dict[str, Record] = {}
        for start in range(0, len(urls), BATCH):
            keys = [url_key(url) for url in urls[start : start + BATCH]]
            marks = ",".join("?" * len(keys))
            with self._told():
                found.update((row[0], _record(row)) for row in self._base.execute(f"{_GET}({marks})", keys))
        return found

    def with_digests(self, digests: Iterable[str]) -> list[Record]:
        """Return the records of all URLs whose bytes have one of those sha256 (hex); reads the table once."""
        wanted = [(digest,) for digest in digests]
        if not wanted:
            return []
        with closing(self._base.cursor()) as cursor:
            cursor.execute("create temp table wanted (digest text primary key) without rowid")
            try:
                cursor.executemany("insert or ignore into wanted values (?)", wanted)
                rows = cursor.execute(
                    f"select {_COLUMNS} from urls where digest in (select digest from wanted)"  # noqa: S608
                )
                return [_record(row) for row in rows]
            finally:
                cursor.execute("drop table wanted")

    def put(self, records: Iterable[Record]) -> None:
        """Record states that were decided without asking, such as what was taken down."""
        with self._writing() as cursor:
            cursor.executemany(_PUT, map(_row, records))

    def states(self) -> Counter[State]:
        """Return how many URLs are in each state."""
        rows = self._base.execute("select state, count(*) from urls group by state")
        return Counter({STATES[state]: count for state, count in rows})

    def records(self) -> Iterator[Record]:
        """Yield every record, in the order of keys."""
        for row in self._base.execute(f"select {_COLUMNS} from urls order by key"):  # noqa: S608
            yield _record(row)

    def repeated(self, least: int = 3) -> list[tuple[str, int]]:
        """Return (digest, count) of bytes that came from at least so many URLs, the most frequent first.

        Such bytes are often a picture that stands for a missing one.
        """
        rows = self._base.execute(
            "select digest, count(*) as n from urls where digest != '' and state in (?, ?) "
            "group by digest having n >= ? order by n desc, digest",
            (int(State.ok), int(State.placeholder), least),
        )
        return [(str(digest), int(count)) for digest, count in rows]

    def _later(self, records: Sequence[Record]) -> Iterator[tuple[object, ...]]:
        """Yield the rows for the records that are later than what the table has."""
        before = self.find([record.url for record in records])
        for record in records:
            known = before.get(record.url)
            if known is not None and known.time >= record.time:
                continue
            attempts = record.attempts
            if known is not None and known.state == record.state:
                attempts += known.attempts
            before[record.url] = replace(record, attempts=attempts)
            yield _row(before[record.url])


def _row(record: Record) -> tuple[object, ...]:
    return (
        url_key(record.url),
        record.url,
        int(record.state),
        record.answer,
        record.digest,
        record.size,
        record.attempts,
        record.time,
        " ".join(record.signals),
    )


def _record(row: tuple[Any, ...]) -> Record:
    url, state, answer, digest, size, attempts, time, signals = row
    return Record(url, STATES[state], answer, digest, size, attempts, time, tuple(signals.split()))
