"""The tables of a ledger: made, brought to the version of today, and copied where they may only be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from mlimg_build.errors import BuildError, Problem
from mlimg_build.fetch.outcomes import REFUSED

__all__ = [
    "TABLES",
    "WAIT",
    "is_ledger",
    "logs_of",
    "may_write",
    "open_tables",
    "read_tables",
    "telling_folder",
]

TABLES = "urls.sqlite"
VERSION = 3
WAIT = 60.0  # seconds for another process that writes
_URLS = """
create table urls (
    key blob primary key, url text not null, state integer not null, answer text not null, digest text not null,
    size integer not null, attempts integer not null, time real not null, signals text not null
) without rowid;
"""
_REFUSALS = f"""
drop table if exists refusals;
drop table if exists about;
create table refusals (
    number integer primary key autoincrement, url text not null, answer text not null, time real not null,
    token text not null default (hex(randomblob(8)))
);
insert into refusals (url, answer, time) select url, answer, time from urls
    where state in ({", ".join(str(int(state)) for state in REFUSED)});
"""  # noqa: S608  numbers


def is_ledger(folder: Path) -> bool:
    """Return whether there is a ledger in a folder, be it only a log that nobody took into its table yet.

    Raises:
        BuildError: `store-unusable` if the folder may not be entered.
    """
    with telling_folder(folder):
        return (folder / TABLES).is_file() or bool(logs_of(folder))


def logs_of(folder: Path) -> list[Path]:
    """Return the files of the log of a ledger, in the order in which they are taken in."""
    try:
        with os.scandir(folder / "log") as found:
            return sorted(folder / "log" / one.name for one in found)
    except FileNotFoundError:
        return []


def may_write(folder: Path) -> bool:
    """Return whether a ledger in a folder can be written, or made."""
    path = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    inside = ((folder / TABLES, os.W_OK), (folder / "log", os.R_OK | os.W_OK | os.X_OK))
    return os.access(path, os.W_OK | os.X_OK) and all(
        os.access(one, how) for one, how in inside if one.exists()
    )


@contextmanager
def telling_folder(folder: Path) -> Iterator[None]:
    """Turn an `OSError` about a folder into `BuildError` `store-unusable`."""
    try:
        yield
    except OSError as error:
        message = f"the ledger in {folder} cannot be looked into: {error.strerror}"
        hint = "ask its owner for access, or give another --store"
        raise BuildError(Problem("store-unusable", message, hint=hint)) from error


def open_tables(folder: Path) -> sqlite3.Connection:
    """Open the tables in a folder to write to; they are made if they are not there.

    Raises:
        sqlite3.Error: they are damaged, or of a version that is not known.
    """
    with ExitStack() as unless_done:
        base = unless_done.enter_context(
            closing(sqlite3.connect(folder / TABLES, timeout=WAIT, isolation_level=None))
        )
        base.execute("pragma synchronous = full")
        _update(base)
        unless_done.pop_all()
    return base


def read_tables(folder: Path, *, copy: bool) -> sqlite3.Connection:
    """Open the tables in a folder to read, empty ones if there are none; nothing in the folder is touched.

    With `copy`, and if they are of an earlier version, they are a copy, on disk, which is gone with the connection and
    can be written.

    Raises:
        sqlite3.Error: they are damaged, or of a version that is not known.
    """
    path = folder / TABLES
    with ExitStack() as unless_done:
        base = unless_done.enter_context(closing(sqlite3.connect("", isolation_level=None)))
        if path.is_file():
            where = f"{path.absolute().as_uri()}?mode=ro"
            with ExitStack() as unless_whole:
                there = unless_whole.enter_context(
                    closing(sqlite3.connect(where, timeout=WAIT, isolation_level=None, uri=True))
                )
                if not copy and there.execute("pragma user_version").fetchone()[0] == VERSION:
                    unless_whole.pop_all()
                    return there
                there.backup(base)
        _update(base)
        unless_done.pop_all()
    return base


def _update(base: sqlite3.Connection) -> None:
    """Bring tables to the version of today."""
    for _ in range(2):  # the second time under the lock, as another process may be about it
        version = base.execute("pragma user_version").fetchone()[0]
        if version == VERSION:
            break
        if version not in (0, 1, 2):
            raise sqlite3.DatabaseError(f"it is of version {version}, and this mlimg reads up to {VERSION}")
        if not base.in_transaction:
            base.execute("begin exclusive")
            continue
        for statement in f"{_URLS if version == 0 else ''}{_REFUSALS}".split(";"):
            base.execute(statement)
        base.execute(f"pragma user_version = {VERSION}")
    if base.in_transaction:
        base.execute("commit")
