"""Read the dictionary of ML-Images: index, WordNet id, index of the parent, names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.lists.file_kinds import kind_of
from mlimg_build.sources.lists.line_blocks import unreadable

__all__ = ["Dictionary", "read_dictionary"]

HINT = "expected rows of index, WordNet id, index of the parent and names, with a tab between"
INDEX = re.compile(r"-1|\d{1,9}", re.ASCII)
WNID = re.compile(r"n\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Categories in the order of their index; `parents[i]` is the index of i's parent, -1 at a root."""

    wnids: tuple[str, ...]
    parents: tuple[int, ...]
    names: tuple[str, ...]


def read_dictionary(path: Path) -> Dictionary:
    """Read the published file, with or without a header. Raises `SourceError` with every invalid row."""
    try:
        other = kind_of(path)
        if other is not None:
            raise unreadable(path, "the dictionary", f"it is {other.name}", other.hint)
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # splitlines() also splits inside names
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(
            "dictionary-unreadable",
            f"the dictionary cannot be read: {path}: {error}",
            hint="get the published file again",
        )
        raise SourceError(problem) from error
    rows = [(i, line.split("\t")) for i, line in enumerate(lines, start=1) if line.strip()]
    if rows and rows[0][1][0] == "category_index":
        rows = rows[1:]
    problems = [*_problems(path, rows)]
    if problems:
        raise SourceError(problems)
    return Dictionary(
        wnids=tuple(row[1] for _, row in rows),
        parents=tuple(int(row[2]) for _, row in rows),
        names=tuple(row[3].strip() for _, row in rows),
    )


def _problems(path: Path, rows: list[tuple[int, list[str]]]) -> list[Problem]:
    if not rows:
        return [Problem("dictionary-empty", f"the dictionary has no row: {path}", hint=HINT)]
    found = []
    seen: dict[str, int] = {}
    for index, (line, row) in enumerate(rows):
        message = _wrong(row, index, len(rows), seen)
        if message is not None:
            found.append(Problem("dictionary-row", message, Place(str(path), line, 1), HINT))
        else:
            seen[row[1]] = line
    return found


def _wrong(row: list[str], index: int, count: int, seen: dict[str, int]) -> str | None:
    """Return the error of the row that should have this index, None if valid; `seen` maps each id to its line."""
    if len(row) != 4:
        return f"{len(row)} fields, expected 4"
    if row[0] != str(index):
        return f"index {row[0]}, expected {index}: rows are numbered from 0"
    if "\0" in row[3]:
        return "its name holds a zero byte"
    if not WNID.fullmatch(row[1]):
        return f"{row[1]!r} is not a WordNet id like n02084071"
    if row[1] in seen:
        return f"{row[1]} stands in line {seen[row[1]]} already"
    if not INDEX.fullmatch(row[2]) or int(row[2]) >= count:
        return f"{row[2]!r} is not the index of a row or -1"
    if int(row[2]) == index:
        return f"{row[1]} is its own parent"
    return None
