"""Read lists of ids that people keep beside a spec: one id per line, `#` before comments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mlimg_build.category_ids import folded_id
from mlimg_build.errors import Place, Problem, SpecError
from mlimg_build.regular_files import read_regular
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.lists.file_kinds import kind_of
from mlimg_build.text_limits import NAME, over

__all__ = ["lines_of", "read_categories", "read_ids", "text_of"]


def read_ids(given: Sequence[str] | Path) -> tuple[str, ...]:
    """Return the ids of a list in a spec or of a text file, in NFC like those of catalogs."""
    keys = (key for _, key in lines_of(given)) if isinstance(given, Path) else given
    return tuple(composed(key) for key in keys)


def read_categories(given: Sequence[str] | Path) -> tuple[str, ...]:
    """Return the ids of a list of categories of the vocabulary; those of own categories are folded."""
    return tuple(map(folded_id, read_ids(given)))


def lines_of(path: Path) -> Iterator[tuple[Place, str]]:
    """Yield the ids of a text file, each with its place.

    Raises:
        SpecError: those of `text_of`, and `list-unreadable` if an id is longer than `NAME`.
    """
    for number, line in enumerate(text_of(path, "the list of ids").splitlines(), start=1):
        if stripped := line.split("#", 1)[0].strip():
            place = Place(str(path), number, line.index(stripped) + 1, min(len(stripped), NAME))
            if why := over(stripped, NAME):
                raise SpecError(Problem("list-unreadable", f"an id has {why}", place, "correct or remove it"))
            yield place, stripped


def text_of(path: Path, what: str) -> str:
    """Return the text of a small file.

    Raises:
        SpecError: `list-unreadable` if the file (called `what`) cannot be read, is of another kind, such as an
            archive, or has a zero byte.
    """
    try:
        other = kind_of(path)
        text = read_regular(path).decode("utf-8-sig") if other is None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            Problem(
                "list-unreadable",
                f"{what} cannot be read: {path}: {error}",
                hint="correct its path, or write it as UTF-8",
            )
        ) from error
    if other is not None:
        message = f"{what} cannot be read: it is {other.name}: {path}"
        raise SpecError(Problem("list-unreadable", message, Place(str(path), 1, 1), other.hint))
    if "\0" in text:
        before = text[: text.index("\0")]
        place = Place(str(path), before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise SpecError(Problem("list-unreadable", f"{what} holds a zero byte", place, "remove it"))
    return text
