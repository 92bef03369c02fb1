"""Read Open Images' class descriptions: category ids and their names."""

from __future__ import annotations

import csv
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.line_blocks import require_file, unreadable

__all__ = ["class_descriptions", "class_names"]

HEADERS = {
    ("labelname", "displayname"),
    ("id", "name"),
    ("label", "name"),
    ("class", "name"),
    ("category", "name"),
}
HINT = "expected rows of LabelName,DisplayName"


def class_descriptions(path: Path, what: str) -> list[tuple[str, str]]:
    """Return the `(id, name)` rows of a class description CSV, with or without a header (`HEADERS`).

    Ids are unique. Raises `SourceError` with every invalid row, at its line.
    """
    require_file(path, what)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise unreadable(path, what, str(error), "save it as a CSV in UTF-8") from error
    header = tuple(field.strip().lower() for field in rows[0][1][:2]) if rows else ()
    if header in HEADERS:
        rows = rows[1:]
    elif header[::-1] in HEADERS:  # names first
        rows = [(line, [*row[1::-1], *row[2:]]) for line, row in rows[1:]]
    problems = [] if rows else [Problem("descriptions-empty", f"{what} names no class: {path}", hint=HINT)]
    named: dict[str, tuple[str, int]] = {}
    for line, row in rows:
        place = Place(str(path), line, 1)
        key, name = row[0].strip(), row[1].strip() if len(row) > 1 else ""
        if len(row) < 2:
            problems.append(Problem("descriptions-row", f"{key} has no name", place, HINT))
        elif "\0" in key + name:
            problems.append(Problem("descriptions-row", "it holds a zero byte", place, "remove it"))
        elif not key:
            problems.append(Problem("descriptions-row", f"{name!r} has no id", place, HINT))
        elif named.setdefault(key, (name, line))[0] != name:
            message = f"{key} has another name in line {named[key][1]}"
            problems.append(Problem("descriptions-row", message, place, "keep one of the two rows"))
    if problems:
        raise SourceError(problems)
    return [(key, name) for key, (name, _) in named.items()]


def class_names(path: Path, what: str) -> dict[str, str]:
    """Return the names by id; ids are in NFC, as in catalogs. Raises the errors of `class_descriptions`."""
    return {composed(key): name for key, name in class_descriptions(path, what)}
