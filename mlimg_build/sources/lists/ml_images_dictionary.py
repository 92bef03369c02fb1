"""Read the dictionary of ML-Images: index, WordNet id, index of the parent, names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.regular_files import read_regular
from mlimg_build.sources.lists.file_kinds import kind_of
from mlimg_build.sources.lists.line_blocks import unreadable
from mlimg_build.text_limits import NAME, SMALL_FILE, over

__all__ = ["Dictionary", "read_dictionary"]

HINT = "expected rows of index, WordNet id, index of the parent and names, with a tab between"
MOST = 100  # problems of a file that are told together
INDEX = re.compile(r"-1|\d{1,9}", re.ASCII)
WNID = re.compile(r"n\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Categories in the order of their index; `parents[i]` is the index of i's parent, -1 at a root."""

    wnids: tuple[str, ...]
    parents: tuple[int, ...]
    names: tuple[str, ...]


def read_dictionary(path: Path) -> Dictionary:
    """Read the published file, with or without a header. Raises `SourceError` with the first `MOST` invalid rows."""
    try:
        other = kind_of(path)
        if other is not None:
            raise unreadable(path, "the dictionary", f"it is {other.name}", other.hint)
        text = read_regular(path, SMALL_FILE).decode("utf-8-sig")
        lines = text.split("\n")  # splitlines() also splits inside names
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        problem = Problem(
            "dictionary-unreadable",
            f"the dictionary cannot be read: {path}: {why}",
            hint="get the published file again",
        )
        raise SourceError(problem) from error
    listed = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    if listed and listed[0][1].split("\t", 1)[0] == "category_index":
        listed = listed[1:]
    problems = _problems(path, listed)
    if problems:
        raise SourceError(problems)
    rows = [line.split("\t") for _, line in listed]
    return Dictionary(
        wnids=tuple(row[1] for row in rows),
        parents=tuple(int(row[2]) for row in rows),
        names=tuple(row[3].strip() for row in rows),
    )


def _problems(path: Path, rows: list[tuple[int, str]]) -> list[Problem]:
    """Return the first `MOST` invalid rows."""
    if not rows:
        return [Problem("dictionary-empty", f"the dictionary has no row: {path}", hint=HINT)]
    found = []
    seen: dict[str, int] = {}
    for index, (line, text) in enumerate(rows):
        row = text.split("\t")
        message = _wrong(row, index, len(rows), seen)
        if message is not None:
            found.append(Problem("dictionary-row", message, Place(str(path), line, 1), HINT))
            if len(found) == MOST:
                break
        else:
            seen[row[1]] = line
    return found


def _wrong(row: list[str], index: int, count: int, seen: dict[str, int]) -> str | None:
    """Return the error of the row that should have this index, None if valid; `seen` maps each id to its line."""
    if len(row) != 4:
        return f"{len(row)} fields, expected 4"
    if row[0] != str(index):
        return f"index {row[0][:NAME]}, expected {index}: rows are numbered from 0"
    if "\0" in row[3]:
        return "its name holds a zero byte"
    if why := over(row[3].strip(), NAME):
        return f"its name has {why}"
    if len(row[1]) > NAME or len(row[2]) > NAME:
        return "its ids are too long"
    if not WNID.fullmatch(row[1]):
        return f"{row[1]!r} is not a WordNet id like n02084071"
    if row[1] in seen:
        return f"{row[1]} stands in line {seen[row[1]]} already"
    if not INDEX.fullmatch(row[2]) or int(row[2]) >= count:
        return f"{row[2]!r} is not the index of a row or -1"
    if int(row[2]) == index:
        return f"{row[1]} is its own parent"
    return None
