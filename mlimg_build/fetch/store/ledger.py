"""The ledger of a store: the last known state of every URL that was asked for, and whether to ask again."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.outcomes import NEVER, REFUSED, STATES, State
from mlimg_build.fetch.store.ledger_log import Record, closed_log, read_log
from mlimg_build.fetch.store.ledger_tables import (
    TABLES,
    logs_of,
    may_write,
    open_tables,
    read_tables,
    telling_folder,
)

__all__ = ["NONE", "Ledger", "Refusal", "Refused", "url_key", "worth_asking"]

_COLUMNS = "url, state, answer, digest, size, attempts, time, signals"
_PUT = f"insert or replace into urls (key, {_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
_REFUSE = "insert into refusals (url, answer, time) values (?, ?, ?)"
_GET = f"select {_COLUMNS} from urls where key in "  # noqa: S608
Refusal = tuple[int, str]
"""The number of a refusal, and a random token by which it is told from that of another ledger."""
NONE: Refusal = (0, "")


class Refused(NamedTuple):
    """A refusal of a URL: its number, what was met, and when, in seconds since 1970."""

    number: int
    answer: str
    time: float


READABLE = "its owner takes it in with the next `mlimg fetch` into this store, or lets it be read"
OPENINGS = 10  # of a ledger whose log is taken in meanwhile
TAKING = 60.0  # seconds for another process that takes a log into the table
BATCH = 500  # of the values that one statement takes
MOVE = (
    "put a backup of it in its place; without it, what the store holds is found again when its URLs are asked for, "
    "but not what other specs took down or which sites opted out"
)


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

    One process compacts at a time; the log may grow meanwhile. A ledger that may only be read is read with its log,
    which is taken into a copy.
    """

    def __init__(self, folder: Path, *, create: bool = True) -> None:
        """Open the ledger; it is made if it is not there, or without `create` is empty and cannot be written.

        Raises:
            BuildError: `ledger-unreadable` if its file is none that this version reads, `store-unusable` if its folder
                may not be entered.
        """
        self.folder = folder
        with telling_folder(folder), self._told(), ExitStack() as unless_done:
            self.writable = may_write(folder) and (create or (folder / TABLES).is_file())
            if self.writable:
                (folder / "log").mkdir(parents=True, exist_ok=True)
                self._base = open_tables(folder)
                return
            for _ in range(OPENINGS):
                logs = logs_of(folder)
                self._base = unless_done.enter_context(closing(read_tables(folder, copy=bool(logs))))
                self._noted = self._latest()
                if all(self._taken(path) for path in logs):
                    unless_done.pop_all()
                    return
            raise BuildError(
                Problem("ledger-busy", f"the log in {folder} is being taken in", hint="run it again")
            )

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def compact(self) -> int:
        """Take the log into the table, and remove its files; return how many records it had.

        Idempotent: of two records of a URL the later counts, attempts in one state are added up; what is withdrawn
        stays so. A file that a process has open is left to the next time. Being killed loses nothing. Of a ledger that
        may only be read, the log was taken in when it was opened.
        """
        taken = 0
        with telling_folder(self.folder):
            logs = logs_of(self.folder) if self.writable else []
        for path in logs:
            with _telling_log(path):
                file = closed_log(path)
            if file is None:
                continue
            try:
                taken += self._take(path)
                path.unlink(missing_ok=True)
            finally:
                os.close(file)
        return taken

    def wait_for(self, urls: Sequence[str]) -> dict[str, Record]:
        """Compact, and return the records of URLs that were asked for, waiting for who else takes them in just now.

        After `TAKING` seconds, those that are there.
        """
        end = time.monotonic() + TAKING
        self.compact()
        found = self.find(urls)
        while len(found) < len(urls) and logs_of(self.folder) and time.monotonic() < end:
            time.sleep(0.1)
            self.compact()
            found = self.find(urls)
        return found

    def _taken(self, path: Path) -> bool:
        """Take a file of the log of a ledger that may only be read into its copy; False if the file is gone.

        Then who may write has taken it into the table, maybe after that was copied.
        """
        try:
            with _telling_log(path):
                self._take(path)
        except FileNotFoundError:
            return False
        return True

    def _take(self, path: Path) -> int:
        """Take a file of the log into the table; return how many records it had."""
        try:
            records = list(read_log(path))
        except OSError as error:
            if error.errno == errno.EINVAL:  # no regular file, and none of the log
                return 0
            raise
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
            BuildError: `ledger-busy` if another process writes for over a minute, or was killed while it wrote and who
                may write has to open the ledger first; else `ledger-unreadable`.
        """
        try:
            yield
        except sqlite3.Error as error:
            kind = getattr(error, "sqlite_errorcode", 0) & 0xFF  # none if it is raised here
            busy = kind in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            half = kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN) and not self.writable
            message = f"the ledger in {self.folder} cannot be used: {error}"
            hint = "wait for the other build that fetches into this store" if busy else MOVE
            if half:
                hint = "a writer was killed: `mlimg fetch` into this store mends it, by somebody who may write there"
            raise BuildError(
                Problem("ledger-busy" if busy or half else "ledger-unreadable", message, hint=hint)
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
        with self._told(), closing(self._base.cursor()) as cursor:
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
            before = self.find([record.url for record in told])
            told = [_with_late_bytes(record, before.get(record.url)) for record in told]
            cursor.executemany(_PUT, map(_row, told))
            cursor.executemany(_REFUSE, [_refusal(record) for record in told if record.state in REFUSED])

    @property
    def latest_refusal(self) -> Refusal:
        """The latest refusal that everybody sees who opens this ledger; each URL that is refused gets the next number.

        Those that are in a log only have no number yet, so that a copy of the table does not count.
        """
        with self._told():
            return self._latest() if self.writable else self._noted

    def number_of(self, refusal: Refusal) -> int:
        """Return the number of a refusal that was noted, 0 if this ledger has none such: it is another, or older."""
        number, token = refusal
        with self._told():
            there = self._base.execute("select token from refusals where number = ?", (number,)).fetchone()
        return number if there is not None and there[0] == token else 0

    def refused_since(self, number: int) -> dict[str, tuple[Refused, ...]]:
        """Return the URLs that were refused after the refusal of a number, each with its refusals since, in order."""
        with self._told():
            rows = self._base.execute(
                "select url, number, answer, time from refusals where number > ? order by number", (number,)
            )
            found: dict[str, tuple[Refused, ...]] = {}
            for url, *told in rows:
                found[str(url)] = (*found.get(str(url), ()), Refused(*told))
            return found

    def _latest(self) -> Refusal:
        found = self._base.execute(
            "select number, token from refusals order by number desc limit 1"
        ).fetchone()
        return NONE if found is None else (int(found[0]), str(found[1]))

    def states(self) -> Counter[State]:
        """Return how many URLs are in each state."""
        with self._told():
            rows = self._base.execute("select state, count(*) from urls group by state")
            return Counter({STATES[state]: count for state, count in rows})

    def records(self) -> Iterator[Record]:
        """Yield every record, in the order of keys."""
        with self._told():
            for row in self._base.execute(f"select {_COLUMNS} from urls order by key"):  # noqa: S608
                yield _record(row)

    def repeated(self, least: int = 3) -> list[tuple[str, int]]:
        """Return (digest, count) of bytes that came from at least so many URLs, the most frequent first.

        Such bytes are often a picture that stands for a missing one.
        """
        with self._told():
            rows = self._base.execute(
                "select digest, count(*) as n from urls where digest != '' and state in (?, ?) "
                "group by digest having n >= ? order by n desc, digest",
                (int(State.ok), int(State.placeholder), least),
            )
            return [(str(digest), int(count)) for digest, count in rows]

    def _later(
        self, records: Sequence[Record]
    ) -> tuple[list[tuple[object, ...]], list[tuple[str, str, float]]]:
        """Return the rows for the records that are later than what the table has, and those that are refused now."""
        before = self.find([record.url for record in records])
        rows: list[tuple[object, ...]] = []
        refused: list[tuple[str, str, float]] = []
        for record in records:
            known = before.get(record.url)
            if known is not None and known.state == State.withdrawn:
                if record.state == State.ok:  # it was in the air
                    before[record.url] = replace(known, digest=record.digest, size=record.size)
                    rows.append(_row(before[record.url]))
                continue
            if known is not None and known.time >= record.time:
                continue
            attempts = record.attempts
            if known is not None and known.state == record.state:
                attempts += known.attempts
            before[record.url] = replace(record, attempts=attempts)
            rows.append(_row(before[record.url]))
            if record.state in REFUSED and (known is None or _kind(known) != _kind(record)):
                refused.append(_refusal(record))
        return rows, refused


def _kind(record: Record) -> tuple[State, str]:
    """Return what tells two refusals apart: the state, and the signal that was met."""
    return record.state, record.answer.partition(":")[0]


def _refusal(record: Record) -> tuple[str, str, float]:
    return record.url, record.answer, record.time


def _with_late_bytes(record: Record, known: Record | None) -> Record:
    """Return a record to be put; one that withdraws a URL keeps the digest of bytes that came since it was decided.

    Its size is theirs then, which tells that they are still to be removed.
    """
    if record.state != State.withdrawn or known is None or known.state != State.ok:
        return record
    return record if known.digest == record.digest else replace(record, digest=known.digest, size=known.size)


@contextmanager
def _telling_log(path: Path) -> Iterator[None]:
    """Turn an `OSError` about a file of the log into `BuildError` `ledger-unreadable`, but for one that is gone."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise BuildError(Problem("ledger-unreadable", message, hint=READABLE)) from error


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
    url, state, answer, digest, size, attempts, asked, signals = row
    return Record(url, STATES[state], answer, digest, size, attempts, asked, tuple(signals.split()))
