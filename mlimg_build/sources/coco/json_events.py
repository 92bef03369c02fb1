"""Read a JSON file of any size as a stream of ijson's events, with limits, and with the byte of what is wrong."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import ijson

from mlimg_build.errors import SourceError
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.lists.line_blocks import require_file, unreadable
from mlimg_build.text_limits import LINE

__all__ = ["DEEPEST", "Event", "json_events", "too_deep"]

Event = tuple[str, Any]

CHUNK = 1 << 16  # bytes that are parsed at a time
DEEPEST = 64  # levels of lists and objects in each other
SEEN = 12  # bytes of a flaw that are shown
FLAWS = (ijson.JSONError, ValueError, OverflowError)  # the second for text that is no UTF-8
AGAIN = "get the file again, or have the program that wrote it write it again"
BOUNDED = "write it as COCO's own files are written: short texts, a list of small objects for each key"
CONSTANTS = re.compile(rb"[:,\[\s]-?(?:NaN|nan|Inf|inf|None|True|False)")


def json_events(path: Path, what: str) -> Iterator[Sequence[Event]]:
    """Yield the events of `ijson.basic_parse`, those of `CHUNK` bytes at a time; a list is valid until the next one.

    Numbers with a fraction or an exponent are float64. A byte-order mark is skipped. Memory is bounded: a text of more
    than `LINE` bytes is an error, and nothing but the events of one chunk is held.

    Raises:
        SourceError: those of `require_file`; `list-unreadable` with the byte (from 0) at which it is no JSON.
    """
    require_file(path, what)
    events, parser = _parser()
    waited = 0
    try:
        for at, data in _chunks(path):
            try:
                parser.send(data)
            except FLAWS as error:
                raise _flaw(path, what, at, len(data), error) from error
            waited = 0 if events else waited + len(data)
            if waited > LINE:
                begin = at + len(data) - waited
                why = f"a text, a number or blanks before byte {begin:,} go on for more than {LINE:,} bytes"
                raise unreadable(path, what, why, BOUNDED)
            yield events
            del events[:]
        try:
            parser.close()
        except FLAWS as error:
            why = f"the JSON is cut: it ends in the middle, at byte {path.stat().st_size:,}"
            raise unreadable(
                path, what, why, "a download that broke off leaves such a file; get it again"
            ) from error
        yield events  # a number may end with the file
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise unreadable(path, what, why, "check the disk or get it again") from error


def too_deep(path: Path, what: str) -> SourceError:
    """Return the error for a file whose lists and objects lie more than `DEEPEST` levels in each other."""
    at = _first_byte(path, _first_chunk(path, _depth_watch()), _depth_watch())
    return unreadable(
        path,
        what,
        f"its lists and objects lie more than {DEEPEST} deep in each other at byte {at:,}",
        BOUNDED,
    )


def _depth_watch() -> Callable[[Sequence[Event]], bool]:
    """Return a function that takes the events of a file in turn and says whether they lie deeper than `DEEPEST`."""
    depth = 0

    def deep(events: Sequence[Event]) -> bool:
        nonlocal depth
        for event, _ in events:
            depth += event.startswith("start") - event.startswith("end")
            if depth > DEEPEST:
                return True
        return False

    return deep


def _parser() -> tuple[Any, Any]:
    """Return a list that receives events, and the coroutine that makes them of bytes."""
    events = ijson.sendable_list()
    return events, ijson.basic_parse_coro(events, use_float=True)


def _chunks(path: Path, size: int = CHUNK) -> Iterator[tuple[int, bytes]]:
    """Yield the position and the bytes of each part of a file, without a byte-order mark."""
    with os.fdopen(open_regular(path), "rb") as stream:
        at = len(codecs.BOM_UTF8) if stream.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
        stream.seek(at)
        while data := stream.read(size):
            yield at, data
            at += len(data)


def _first_chunk(path: Path, wrong: Callable[[Sequence[Event]], bool]) -> int:
    """Return where the part of a file begins with which parsing fails or `wrong` is true."""
    events, parser = _parser()
    at = 0
    for at, data in _chunks(path):
        try:
            parser.send(data)
        except FLAWS:
            return at
        if wrong(events):
            return at
        del events[:]
    return at


def _first_byte(path: Path, start: int, wrong: Callable[[Sequence[Event]], bool]) -> int:
    """Return the position of the byte with which parsing fails or `wrong` is true, by parsing from the beginning.

    `start` is a position before which nothing is wrong: from there bytes are parsed one by one.
    """
    events, parser = _parser()
    at = 0
    for at, data in _chunks(path):
        parts = [data] if at + len(data) <= start else [data[i : i + 1] for i in range(len(data))]
        for i, part in enumerate(parts):
            try:
                parser.send(part)
            except FLAWS:
                return at + i
            if wrong(events):
                return at + i
            del events[:]
    return at


def _flaw(path: Path, what: str, start: int, size: int, error: Exception) -> SourceError:
    """Return the error for a file that is no JSON somewhere in the `size` bytes from `start`."""
    at = min(_first_byte(path, start, lambda events: False), start + size - 1)
    with os.fdopen(open_regular(path), "rb") as stream:
        stream.seek(at)
        seen = stream.read(SEEN)
        stream.seek(max(at - SEEN, 0))
        around = stream.read(at - max(at - SEEN, 0)) + seen
    shown = repr(seen.decode("utf-8", "backslashreplace"))
    said = f"{error}".partition("\n")[0].removeprefix("b'").partition("\\n")[0].strip()
    return unreadable(path, what, f"it is no JSON at byte {at:,}, {shown}: {said}", _hint(seen, around, said))


def _hint(seen: bytes, around: bytes, said: str) -> str:
    if seen.startswith(b"\0"):
        return "a full disk or a broken download leaves zero bytes; get the file again"
    if "overflow" in said:
        return "numbers are read as 64 bits; write a longer id as a text"
    if CONSTANTS.search(around):
        return "JSON has no NaN, Infinity or None: write null or a number (in Python json.dump(…, allow_nan=False))"
    if "UTF" in said or "utf" in said:
        return "save it as JSON in UTF-8"
    return AGAIN
