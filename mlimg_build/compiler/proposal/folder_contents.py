"""Look at the names in a folder and at the first bytes of a file; nothing else is read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from mlimg_build.quantities import counted
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.image_files import is_hidden, is_image_name, is_text

__all__ = [
    "absolute",
    "entries",
    "folders_of_images",
    "head",
    "holds_images",
    "images_in",
    "name_of",
    "told",
]

MOST = 20_000  # entries of a folder that are looked at
PEEKED = 64  # entries of a folder in it
HEAD = 1 << 16  # bytes of a file
SHOWN = 5  # names that are told


def absolute(path: Path) -> Path:
    """Return the path from the root, without `.` and `..`; links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def name_of(path: Path) -> str:
    """Return the name of a folder, also of one that is written as `.`."""
    return absolute(path).name or "images"


def entries(path: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the files in a folder, sorted, of very many the first."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(path) as found:
            for entry in islice(found, MOST):
                if is_text(entry.name) and not is_hidden(entry.name):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError:
        return [], []
    return sorted(folders), sorted(files)


def images_in(path: Path) -> int:
    """Return the number of images that lie in a folder itself."""
    return sum(map(is_image_name, entries(path)[1]))


def holds_images(path: Path) -> bool:
    """Return whether images lie in a folder or in one of its folders."""
    folders, files = entries(path)
    deeper = (name for one in folders[:PEEKED] for name in entries(path / one)[1][:PEEKED])
    return any(is_image_name(name) for name in (*files[:PEEKED], *deeper))


def folders_of_images(path: Path) -> list[str]:
    """Return the names of the folders in a folder that hold images themselves."""
    return [name for name in entries(path)[0] if images_in(path / name)]


def head(path: Path) -> str:
    """Return the first bytes of a file as text; "" if it cannot be read."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return ""
    try:
        return os.read(descriptor, HEAD).decode(errors="replace")
    finally:
        os.close(descriptor)


def told(path: Path) -> str:
    """Return the words for what was found at a path: the names of some folders and files, and how many there are."""
    if not path.is_dir():
        return f"a file {path.suffix or 'without a suffix'}"
    folders, files = entries(path)
    parts = [*_part(folders, "folder"), *_part(files, "file")]
    return " and ".join(parts) if parts else "it is empty"


def _part(names: Sequence[str], what: str) -> Iterator[str]:
    if names:
        more = ", …" if len(names) > SHOWN else ""
        yield f"{counted(len(names), what)} ({', '.join(names[:SHOWN])}{more})"
