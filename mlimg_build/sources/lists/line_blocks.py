"""Read text files as blocks of whole lines: damage affects one line only, and every line keeps its number."""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.errors import Problem, SourceError
from mlimg_build.regular_files import open_regular, read_regular
from mlimg_build.sources.lists.file_kinds import kind_of, other_than_parquet
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec.suggestions import did_you_mean
from mlimg_build.text_limits import LINE

__all__ = [
    "Block",
    "empty_lines_where",
    "is_utf8",
    "read_blocks",
    "read_lines",
    "require_file",
    "unreadable",
    "whole_text",
]

BLOCK = 16 << 20  # bytes read at a time
SMALLER = "leave out what no label uses, so that the file is smaller"


class Block(NamedTuple):
    """Whole lines of UTF-8 text, the number of the first (from 1), and the number of lines."""

    data: bytes
    first: int
    lines: int


def require_file(path: Path, what: str, parquet: bool = False) -> None:
    """Raise `SourceError` unless `path` is a readable text file (with `parquet`, a Parquet file) that is not empty.

    If the file is of another kind, the error tells which.
    """
    if not path.is_file():
        raise SourceError(
            Problem(
                "list-missing",
                f"{what} is not a file: {path}" if path.exists() else f"{what} does not exist: {path}",
                hint=f"{did_you_mean(path, folder=False)}correct the path, or set the variable that the spec takes it "
                "from",
            )
        )
    if not os.access(path, os.R_OK):
        raise unreadable(path, what, "it may not be read", "check its permissions")
    if path.stat().st_size == 0:
        raise SourceError(
            Problem(
                "list-empty",
                f"{what} is empty: {path}",
                hint="a download that broke off leaves such a file; get it again",
            )
        )
    try:
        other = other_than_parquet(path) if parquet else kind_of(path)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise unreadable(path, what, why, "check the disk or get it again") from error
    if other is not None:
        raise unreadable(path, what, f"it is {other.name}", other.hint)


def unreadable(path: Path, what: str, why: str, hint: str) -> SourceError:
    """Return the error for a list that exists but cannot be read."""
    return SourceError(Problem("list-unreadable", f"{what} cannot be read: {why}: {path}", hint=hint))


def whole_text(path: Path, what: str, most: int, hint: str) -> str:
    """Return the text of a file of at most `most` bytes, without a byte-order mark.

    Raises `SourceError` if it is larger, cannot be read or is not UTF-8; `hint` is for the latter.
    """
    try:
        return read_regular(path, most).decode("utf-8-sig")
    except OSError as error:
        hint = SMALLER if error.errno == errno.EFBIG else "check the file and the disk"
        raise unreadable(path, what, error.strerror or str(error), hint) from error
    except UnicodeDecodeError as error:
        raise unreadable(path, what, str(error), hint) from error


def read_blocks(path: Path, what: str, notes: Notes) -> Iterator[Block]:
    """Yield a file as blocks of whole lines, about `BLOCK` bytes each, without a byte-order mark.

    A line that is longer than `LINE`, is not UTF-8 or contains a zero byte, which no stored text can, is noted and
    emptied. Raises `SourceError` if the file is missing, empty or unreadable.
    """
    require_file(path, what)
    number = 1
    for data in _whole_lines(path, what):
        block = Block(data, number, data.count(b"\n") + (not data.endswith(b"\n")))
        number += block.lines
        if _has_long_line(data):
            block = empty_lines_where(
                block,
                lambda line: len(line) > LINE,
                lambda n: notes.add(
                    "text-too-long", f"{path.name}:{n}: the line has more than {LINE:,} bytes"
                ),
            )
        if not is_utf8(block.data):
            block = empty_lines_where(
                block, lambda line: not is_utf8(line), lambda n: notes.add("not-utf-8", f"{path.name}:{n}")
            )
        if b"\0" in block.data:
            block = empty_lines_where(
                block, lambda line: b"\0" in line, lambda n: notes.add("zero-byte", f"{path.name}:{n}")
            )
        yield block


def read_lines(path: Path, what: str, notes: Notes) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Yield the lines of a text file as strings, with their numbers from 1; empty lines are left out."""
    for block in read_blocks(path, what, notes):
        listed = block.data.split(b"\n")[: block.lines]
        lines = pc.utf8_rtrim(pa.array(listed, pa.binary()).cast(pa.string()), "\r")
        filled = pc.not_equal(lines, "")
        numbers = np.arange(block.first, block.first + block.lines)
        yield lines.filter(filled), numbers[filled.to_numpy(zero_copy_only=False)]


def empty_lines_where(block: Block, bad: Callable[[bytes], bool], tell: Callable[[int], None]) -> Block:
    """Return the block with its bad lines emptied; `tell` is called with the number of each."""
    listed = block.data.split(b"\n")
    for i in range(block.lines):
        if bad(listed[i]):
            tell(block.first + i)
            listed[i] = b""
    listed[block.lines :] = [b""]  # every line ends with a line feed, else an empty last line would be lost
    return block._replace(data=b"\n".join(listed))


def _whole_lines(path: Path, what: str) -> Iterator[bytes]:
    """Yield blocks of whole lines; of a line that is longer than `LINE`, at least one byte more than that."""
    rest = b""
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
                stream.seek(0)
            while data := stream.read(BLOCK):
                cut = data.rfind(b"\n") + 1
                if cut:
                    yield rest + data[:cut]
                    rest = b""
                rest = (rest + data[cut:])[: LINE + 1]
    except OSError as error:
        raise unreadable(
            path, what, error.strerror or type(error).__name__, "check the disk or get it again"
        ) from error
    if rest:
        yield rest


def _has_long_line(data: bytes) -> bool:
    """Return whether a line may be longer than `LINE`: a stretch of half of that has no line feed."""
    step = LINE // 2
    return any(data.find(b"\n", start, start + step) < 0 for start in range(0, len(data) - step + 1, step))


def is_utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8 text."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
