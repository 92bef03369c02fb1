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
from mlimg_build.fetch.outcomes import NEVER, REFUSED, STATES, State
from mlimg_build.fetch.store.ledger_log import Record, closed_log, read_log
from mlimg_build.fetch.store.ledger_tables import TABLES, may_write, open_tables, read_tables

__all__ = ["Ledger", "url_key", "worth_asking"]

_COLUMNS = "url, state, answer, digest, size, attempts, time, signals"
_PUT = f"insert or replace into urls (key, {_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
_REFUSE = "insert into refusals (url) values (?)"
_GET = f"select {_COLUMNS} from urls where key in "  # noqa: S608
BATCH = 500  # of the values that one statement takes
MOVE = "move it away; what the store holds is found again when its URLs are asked for"


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

    One process compacts at a time; the log may grow meanwhile. A ledger that may only be read is copied when it is
    opened, and its log is taken into the copy.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        """Open the ledger; it is made if it is not there, or without `create` is empty and cannot be written.

        Raises:
            BuildError: `ledger-unreadable` if its file is none that this version reads.
        """
        self.folder = folder
        self.writable = may_write(folder) and (create or (folder / TABLES).is_file())
        try:
            if self.writable:
                (folder / "log").mkdir(parents=True, exist_ok=True)
            self._base = open_tables(folder) if self.writable else read_tables(folder)
            self.name = str(self._base.execute("select coalesce(max(name), '') from about").fetchone()[0])
        except sqlite3.Error as error:
            message = f"the ledger {folder / TABLES} cannot be read: {error}"
            raise BuildError(Problem("ledger-unreadable", message, hint=MOVE)) from error

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def compact(self) -> int:
        """Take the log into the table, and remove its files; return how many records it had.

        Idempotent: of two records of a URL the later counts, attempts in one state are added up. A file that a
        process has open is left to the next time. Being killed loses nothing. Of a ledger that may only be read, every
        file stays.
        """
        taken = 0
        for path in sorted((self.folder / "log").glob("*")):
            if not self.writable:
                taken += self._take(path)
                continue
            file = closed_log(path)
            if file is None:
                continue
            try:
                taken += self._take(path)
                path.unlink(missing_ok=True)
            finally:
                os.close(file)
        return taken

    def _take(self, path: Path) -> int:
        """Take a file of the log into the table; return how many records it had."""
        records = list(read_log(path))
        with self._writing() as cursor:
            later, refused = self._later(records)
            cursor.executemany(_PUT, later)
            cursor.executemany(_REFUSE, refused)
        return len(records)

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
        """Record states that were decided without asking, such as what was taken down.

        Raises:
            BuildError: `store-unusable` if the ledger may only be read.
        """
        told = list(records)
        if told and not self.writable:
            message = f"the ledger in {self.folder} can only be read"
            hint = "images are taken down where its store can be written, or with a --store of one's own"
            raise BuildError(Problem("store-unusable", message, hint=hint))
        with self._writing() as cursor:
            cursor.executemany(_PUT, map(_row, told))
            cursor.executemany(_REFUSE, [(record.url,) for record in told if record.state in REFUSED])

    def refusals(self) -> int:
        """Return the number of the latest refusal: each URL that comes to a state of `REFUSED` gets the next one."""
        with self._told():
            return int(self._base.execute("select coalesce(max(number), 0) from refusals").fetchone()[0])

    def refused_since(self, number: int) -> set[str]:
        """Return the URLs that were refused after the refusal of a number."""
        with self._told():
            rows = self._base.execute("select url from refusals where number > ?", (number,))
            return {str(url) for (url,) in rows}

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

    def _later(self, records: Sequence[Record]) -> tuple[list[tuple[object, ...]], list[tuple[str]]]:
        """Return the rows for the records that are later than what the table has, and those that are refused now."""
        before = self.find([record.url for record in records])
        rows: list[tuple[object, ...]] = []
        refused: list[tuple[str]] = []
        for record in records:
            known = before.get(record.url)
            if known is not None and known.time >= record.time:
                continue
            attempts = record.attempts
            if known is not None and known.state == record.state:
                attempts += known.attempts
            before[record.url] = replace(record, attempts=attempts)
            rows.append(_row(before[record.url]))
            if record.state in REFUSED and (known is None or known.state != record.state):
                refused.append((record.url,))
        return rows, refused


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
