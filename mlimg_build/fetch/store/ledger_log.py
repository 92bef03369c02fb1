"""The append-only log of what came of asking for URLs: one line of JSON a URL, one file a task."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from pathlib import Path
from types import TracebackType

from mlimg_build.fetch.outcomes import STATES, State
from mlimg_build.regular_files import open_regular

__all__ = ["LedgerLog", "Record", "closed_log", "logged_since", "new_log", "read_log"]

TEXT = 500  # most characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one URL.

    `digest` is the sha256 (hex) of the bytes that came last, `size` their number; "" and 0 if none came; for
    `too_large`, `size` is the limit that was passed. `answer` says what was met last, `attempts` counts requests since
    the state changed, `time` is that of the last one in seconds since 1970. The time decides when to ask again; it goes
    into no digest. `signals` names the signals of rights that were obeyed when it was asked.
    """

    url: str
    state: State
    answer: str = ""
    digest: str = ""
    size: int = 0
    attempts: int = 1
    time: float = 0.0
    signals: tuple[str, ...] = ()

    def line(self) -> bytes:
        """Return the line of the log: JSON, a tab, the CRC-32 of the JSON in hex."""
        quoted = encode_basestring_ascii  # by hand, as a log has millions of lines: a fifth of the time of an encoder
        text = (
            f'{{"url":{quoted(self.url)},"state":"{self.state.name}","answer":{quoted(self.answer[:TEXT])},'
            f'"digest":{quoted(self.digest)},"size":{self.size},"attempts":{self.attempts},"time":{self.time!r},'
            f'"signals":{_listed(self.signals)}}}'
        ).encode()
        return b"%s\t%08x\n" % (text, zlib.crc32(text))

    @classmethod
    def parse(cls, line: bytes) -> Record | None:
        """Return the record of a line, None if the line is damaged.

        >>> one = Record("http://a.example/1.jpg", State.gone, "404", attempts=2, time=5.0)
        >>> Record.parse(one.line()) == one, Record.parse(one.line()[:-3])
        (True, None)
        """
        text, _, check = line.rstrip(b"\n").rpartition(b"\t")
        if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(text):
            return None
        try:
            values = json.loads(text)
            signals = tuple(map(str, values["signals"]))
            made = cls(**{**values, "state": State[values["state"]], "signals": signals})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return made if made.state in STATES and math.isfinite(made.time) else None


@lru_cache(maxsize=64)
def _listed(signals: tuple[str, ...]) -> str:
    return json.dumps(signals, separators=(",", ":"))


class LedgerLog:
    """One file of the log, appended by one process; what is written survives the death of the process at once.

    The file is locked while it is open, so that nobody compacts it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.fstat(self._file).st_nlink:
                return
            os.close(self._file)  # it was compacted between the two calls

    def __enter__(self) -> LedgerLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.fsync(self._file)
        os.close(self._file)

    def append(self, record: Record) -> None:
        """Append a record, whole lines only: a line that a full disk cut is ended, so that the next one counts."""
        line = record.line()
        done = os.write(self._file, line)
        if done < len(line):
            os.write(self._file, b"\n")
            raise OSError(28, os.strerror(28), str(self.path))


def new_log(folder: Path) -> LedgerLog:
    """Open a new file of the log of the ledger in a folder, for one process."""
    return LedgerLog(folder / "log" / f"{os.getpid()}-{os.urandom(8).hex()}.jsonl")


def closed_log(path: Path) -> int | None:
    """Return a locked descriptor of a file of the log, to be closed by the caller; None if a process has it open.

    What is gone, or no regular file, is none of the log.

    Raises:
        OSError: it may not be read.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def logged_since(folder: Path, since: float) -> set[str]:
    """Return the URLs that the log of a ledger has a record of from `since` (seconds since 1970) or later."""
    found: set[str] = set()
    for path in (folder / "log").glob("*"):
        with suppress(OSError):  # it was compacted meanwhile, or is no regular file
            found.update(record.url for record in read_log(path) if record.time >= since)
    return found


def read_log(path: Path) -> Iterator[Record]:
    """Yield the records of a file; lines that are damaged are passed over, their URLs are asked again."""
    with os.fdopen(open_regular(path), "rb") as stream:
        for line in stream:
            record = Record.parse(line)
            if record is not None:
                yield record
