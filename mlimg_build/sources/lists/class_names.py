"""Read Open Images' class descriptions: category ids and their names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.line_blocks import require_file, unreadable, whole_text
from mlimg_build.text_limits import CLASS_FILE, NAME, over

__all__ = ["class_descriptions", "class_names", "name_of", "open_images_id"]

HEADERS = {
    ("labelname", "displayname"),
    ("id", "name"),
    ("label", "name"),
    ("class", "name"),
    ("category", "name"),
    ("folder", "name"),
}
BELOW = "below"  # the third column of a file that declares own categories, too
CLASSES = 1 << 20  # most classes of a file
OPEN_IMAGES_ID = re.compile(r"/[mgt]/[0-9a-z_]{2,}|[_.]?[mgt][_.-][01][0-9a-z_]{2,}")
MOST = 100  # problems of a file that are told together
HINT = "expected rows of LabelName,DisplayName"


def class_descriptions(path: Path, what: str) -> list[tuple[str, str]]:
    """Return the `(id, name)` rows of a class description CSV, with or without a header (`HEADERS`).

    A third column `below` says that the file declares own categories, too; its rows without an id are left to them.
    Ids are unique. Raises `SourceError` with the first `MOST` invalid rows, each at its line.
    """
    problems: list[Problem] = []
    named: dict[str, tuple[str, int]] = {}
    for line, row in _rows(path, what):
        place = Place(str(path), line, 1)
        key, name = row[0].strip(), row[1].strip() if len(row) > 1 else ""
        if len(row) < 2:
            problems.append(Problem("descriptions-row", f"{key} has no name", place, HINT))
        elif why := over(key, NAME) or over(name, NAME):
            problems.append(Problem("descriptions-row", f"its id or name has {why}", place, "shorten it"))
        elif "\0" in key + name:
            problems.append(Problem("descriptions-row", "it holds a zero byte", place, "remove it"))
        elif not key:
            problems.append(Problem("descriptions-row", f"{name!r} has no id", place, HINT))
        elif named.setdefault(key, (name, line))[0] != name:
            message = f"{key} has another name in line {named[key][1]}"
            problems.append(Problem("descriptions-row", message, place, "keep one of the two rows"))
        if len(named) > CLASSES:
            why = f"it names more than {CLASSES:,} classes"
            raise unreadable(path, what, why, "leave out the classes that no label uses")
        if len(problems) == MOST:
            break
    if not named and not problems:
        problems.append(Problem("descriptions-empty", f"{what} names no class: {path}", hint=HINT))
    if problems:
        raise SourceError(problems)
    return [(key, name) for key, (name, _) in named.items()]


def _rows(path: Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line and the cells of each row that names an id, the id first; a header is left out."""
    require_file(path, what)
    text = whole_text(path, what, CLASS_FILE, "save it as a CSV in UTF-8")
    line, swapped, first, own = 0, False, True, False
    try:
        reader = csv.reader(io.StringIO(text, newline=""))
        for row in reader:
            line = reader.line_num
            if not any(field.strip() for field in row):
                continue
            if first:
                first, header = False, tuple(field.strip().lower() for field in row[:2])
                swapped = header not in HEADERS and header[::-1] in HEADERS  # names first
                if swapped or header in HEADERS:
                    own = [field.strip().lower() for field in row[2:]] == [BELOW]
                    continue
            if own and not row[0].strip():
                continue
            yield line, [*row[1::-1], *row[2:]] if swapped else row
    except csv.Error as error:
        raise unreadable(path, what, f"line {line + 1}: {error}", "save it as a CSV in UTF-8") from error


def class_names(path: Path, what: str) -> dict[str, str]:
    """Return the names by id; ids are in NFC, as in catalogs. Raises the errors of `class_descriptions`."""
    return {composed(key): name for key, name in class_descriptions(path, what)}


def open_images_id(text: str) -> str | None:
    """Return the id of Open Images that a text is, also as folders bear it, without slashes; None if it is none.

    >>> [open_images_id(text) for text in ("/m/0bt9lr", "m_0bt9lr", "_m_0bt9lr", "m.0bt9lr", "dog")]
    ['/m/0bt9lr', '/m/0bt9lr', '/m/0bt9lr', '/m/0bt9lr', None]
    """
    if OPEN_IMAGES_ID.fullmatch(text) is None:
        return None
    plain = text.lstrip("/_.")
    return f"/{plain[0]}/{plain[2:]}"


def name_of(names: Mapping[str, str], key: str) -> str | None:
    """Return the name of a category by its id, which may be an id of Open Images without slashes; None without one."""
    found = names.get(key)
    return names.get(open_images_id(key) or "") if found is None else found
