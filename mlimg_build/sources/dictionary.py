"""The dictionary of ML-Images: index, WordNet id, index of the parent, names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError

__all__ = ["Dictionary", "read_dictionary"]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Categories in the order of their index; `parents[i]` is the index of i's parent, -1 at a root."""

    wnids: tuple[str, ...]
    parents: tuple[int, ...]
    names: tuple[str, ...]


def read_dictionary(path: Path) -> Dictionary:
    """Reads the published file, with or without its header; raises `SourceError` with every row that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(
            Problem("dictionary-unreadable", f"the dictionary cannot be read: {path}: {error}", hint="get the published file again")
        ) from error
    rows = [(i, line.split("\t")) for i, line in enumerate(lines, start=1) if line.strip()]
    if rows and rows[0][1][0] == "category_index":
        rows = rows[1:]
    problems = [*_problems(path, rows)]
    if problems:
        raise SourceError(problems)
    return Dictionary(
        tuple(row[1] for _, row in rows), tuple(int(row[2]) for _, row in rows), tuple(row[3] for _, row in rows)
    )


def _problems(path: Path, rows: list[tuple[int, list[str]]]) -> list[Problem]:
    hint = "expected rows of index, WordNet id, index of the parent and names, with a tab between"
    if not rows:
        return [Problem("dictionary-empty", f"the dictionary has no row: {path}", hint=hint)]
    found = []
    seen: dict[str, int] = {}
    for index, (line, row) in enumerate(rows):
        place = Place(str(path), line, 1)
        if len(row) != 4:
            found.append(Problem("dictionary-row", f"{len(row)} fields, expected 4", place, hint))
        elif row[0] != str(index):
            found.append(Problem("dictionary-row", f"index {row[0]}, expected {index}: rows are numbered from 0", place, hint))
        elif not _is_index(row[2], len(rows)):
            found.append(Problem("dictionary-row", f"{row[2]!r} is not the index of a row or -1", place, hint))
        elif row[1] in seen:
            found.append(Problem("dictionary-row", f"{row[1]} stands in line {seen[row[1]]} already", place, hint))
        else:
            seen[row[1]] = line
    return found


def _is_index(text: str, count: int) -> bool:
    return text.removeprefix("-").isdigit() and -1 <= int(text) < count
