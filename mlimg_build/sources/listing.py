"""The image files of a folder tree, in a fixed order."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.protocol import IMAGES, LABELS, WHOLE_FILE, Notes

__all__ = [
    "SUFFIXES",
    "File",
    "image_rows",
    "images_only",
    "is_hidden",
    "is_image_name",
    "is_text",
    "is_url",
    "require_folder",
    "shown",
    "shows",
    "stem",
    "unique_names",
    "walk",
]

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp"),
        *(".png", ".apng", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    }
)


@dataclass(frozen=True, slots=True)
class File:
    """A file below a root: its path with forward slashes, bytes, and times of change in nanoseconds."""

    path: str
    size: int
    mtime: int
    ctime: int = 0


def is_image_name(path: str) -> bool:
    """Says whether a file is taken for an image by its name; what it holds is proved later.

    >>> is_image_name("n01440764/n01440764_10026.JPEG"), is_image_name("notes.txt")
    (True, False)
    """
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def is_url(path: str) -> bool:
    """Says whether an image is to be fetched from a server.

    >>> is_url("https://example.org/cat.jpg"), is_url("cats/https.jpg")
    (True, False)
    """
    return path.lower().startswith(("http://", "https://"))


def stem(path: str) -> str:
    """The path without the suffix of an image.

    >>> stem("cats/one.two.jpg"), stem("cats/one.two")
    ('cats/one.two', 'cats/one.two')
    """
    return path[: -len(PurePosixPath(path).suffix)] if is_image_name(path) else path


def require_folder(folder: Path, what: str) -> None:
    """Raises `SourceError` unless `folder` is a folder that can be listed."""
    if not folder.is_dir():
        raise SourceError(
            Problem(
                "source-missing",
                f"{what} does not exist: {folder}"
                if not folder.exists()
                else f"{what} is not a folder: {folder}",
                hint="correct the path, or set the variable that the spec takes it from",
            )
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(
            Problem("source-unreadable", f"{what} may not be read: {folder}", hint="check its permissions")
        )


def is_text(name: str) -> bool:
    """Says whether a file name is UTF-8; names that are not cannot stand in a catalog.

    >>> is_text("Ameisenbär.jpg"), is_text("Ameisenb\\udce4r.jpg")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """The name as it can be printed.

    >>> shown("Ameisenb\\udce4r.jpg")
    'Ameisenb\\\\udce4r.jpg'
    """
    return name.encode(errors="backslashreplace").decode()


def is_hidden(path: str) -> bool:
    """Says whether a part of the path starts with a dot, as what editors and file managers leave does.

    >>> is_hidden("cats/._1.jpg"), is_hidden("cats/1.jpg"), is_hidden("../cats/1.jpg")
    (True, False, False)
    """
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(path).parts)


def walk(root: Path, below: str = "", notes: Notes | None = None) -> Iterator[File]:
    """Yields every file under `root/below`, sorted by path component.

    Links are followed, but not to a folder that they lie in; a link to nothing is a file of size -1. What is
    hidden, has a name that is not UTF-8, or is no file (a pipe, a device) is passed over, as is a folder that
    cannot be listed: each is noted.
    """
    yield from _walk(root, below, frozenset(), Notes() if notes is None else notes)


def _walk(root: Path, below: str, above: frozenset[tuple[int, int]], notes: Notes) -> Iterator[File]:
    folder = root / below if below else root
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        notes.add("folder-unreadable", f"{below}: {error.strerror}")
        return
    if (status.st_dev, status.st_ino) in above:
        notes.add("link-loop", below)
        return
    above |= {(status.st_dev, status.st_ino)}
    for entry in listed:
        path = f"{below}/{entry.name}" if below else entry.name
        if not is_text(entry.name):
            notes.add("name-not-utf-8", shown(path))
            continue
        if is_hidden(entry.name):
            notes.add("hidden", path)
            continue
        try:
            found = entry.stat()
        except OSError:  # a link to nothing, or to itself: gets its row
            yield File(path, -1, 0)
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(root, path, above, notes)
        elif stat.S_ISREG(found.st_mode):
            yield File(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        else:
            notes.add("not-a-plain-file", path)


def unique_names(proposed: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Names as proposed, but with the whole path where two files would share one; unique where the paths are.

    >>> unique_names(["cat/1", "cat/1", "cat/2"], ["cat/1.jpg", "cat/1.png", "cat/2.jpg"])
    ['cat/1.jpg', 'cat/1.png', 'cat/2']
    """
    names = list(proposed)
    while True:  # a path may be what another file was to be called: then that one takes its path too
        counted = Counter(names)
        chosen = [path if counted[name] > 1 else name for name, path in zip(names, paths, strict=True)]
        if chosen == names:
            return names
        names = chosen


def image_rows(
    names: Sequence[str], files: Sequence[File], licence: str | Sequence[str], author: str | Sequence[str]
) -> pa.RecordBatch:
    """A batch of `IMAGES` for files that are images of their own; licence and author are one, or one each."""
    n = len(names)
    return pa.record_batch(
        [
            pa.array(names, pa.string()),
            pa.array([file.path for file in files], pa.string()),
            pa.array([WHOLE_FILE] * n, pa.int64()),
            pa.array([file.size for file in files], pa.int64()),
            pa.array(["" if file.size >= 0 else "missing" for file in files], pa.string()),
            pa.array([licence] * n if isinstance(licence, str) else licence, pa.string()),
            pa.array([author] * n if isinstance(author, str) else author, pa.string()),
            pa.array([file.mtime for file in files], pa.int64()),
            pa.array([file.ctime for file in files], pa.int64()),
        ],
        schema=IMAGES,
    )


def images_only(files: Iterator[File], notes: Notes) -> Iterator[File]:
    """Passes on the files that are images by name and notes the others."""
    for file in files:
        if is_image_name(file.path):
            yield file
        else:
            notes.add("not-an-image-name", file.path)


def shows(category: str, images: pa.RecordBatch) -> pa.RecordBatch:
    """The statement that every image of the batch shows the category."""
    n = len(images)
    return pa.record_batch(
        [
            images.column("name"),
            pa.array([category] * n, pa.string()),
            pa.array([1.0] * n, pa.float32()),
            pa.array([0] * n, pa.int64()),
        ],
        schema=LABELS,
    )
