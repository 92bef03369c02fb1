"""Read names of categories that are called by numbers: a name in each line, the first being that of 0."""

from __future__ import annotations

from pathlib import Path

from mlimg_build.errors import Place, Problem, SourceError
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.class_names import CLASSES, MOST, class_descriptions
from mlimg_build.sources.lists.line_blocks import require_file, unreadable, whole_text
from mlimg_build.text_limits import CLASS_FILE, NAME, over

__all__ = ["class_list", "is_numbered"]


def is_numbered(path: Path) -> bool:
    """Return whether a file of classes has a name in each line, by its suffix `.txt`."""
    return path.suffix.lower() == ".txt"


def class_list(path: Path, what: str) -> list[tuple[str, str]]:
    """Return the `(id, name)` of classes: of a `.txt` by its lines, ids from 0; else those of `class_descriptions`.

    Raises `SourceError` with the first `MOST` invalid lines, each at its place.
    """
    if not is_numbered(path):
        return [(composed(key), name) for key, name in class_descriptions(path, what)]
    require_file(path, what)
    text = whole_text(path, what, CLASS_FILE, "save it as text in UTF-8")
    lines = [line.strip() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > CLASSES:
        raise unreadable(
            path, what, f"it names more than {CLASSES:,} classes", "leave out what no label uses"
        )
    problems = []
    for number, name in enumerate(lines, 1):
        if not name:
            why, hint = "it has no name, and lines are counted", "write a name in each line"
        elif too_long := over(name, NAME):
            why, hint = f"its name has {too_long}", "shorten it"
        elif "\0" in name:
            why, hint = "it holds a zero byte", "remove it"
        else:
            continue
        problems.append(
            Problem("descriptions-row", f"class {number - 1}: {why}", Place(str(path), number, 1), hint)
        )
        if len(problems) == MOST:
            break
    if not lines:
        problems.append(
            Problem("descriptions-empty", f"{what} names no class: {path}", hint="write a name a line")
        )
    if problems:
        raise SourceError(problems)
    return [(str(number), name) for number, name in enumerate(lines)]
