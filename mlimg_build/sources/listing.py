"""The image files of a folder tree, in a fixed order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.protocol import IMAGES, LABELS, WHOLE_FILE, Notes

__all__ = ["SUFFIXES", "File", "image_rows", "images_only", "is_image_name", "is_url", "require_folder", "shows", "stem", "unique_names", "walk"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True)
class File:
    """A file below a root: its path with forward slashes, bytes, and time of change in nanoseconds."""

    path: str
    size: int
    mtime: int


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
    return path.startswith(("http://", "https://"))


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
                f"{what} does not exist: {folder}" if not folder.exists() else f"{what} is not a folder: {folder}",
                hint="correct the path, or set the variable that the spec takes it from",
            )
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(Problem("source-unreadable", f"{what} may not be read: {folder}", hint="check its permissions"))


def walk(root: Path, below: str = "") -> Iterator[File]:
    """Yields every file under `root/below` that is not hidden, sorted by path component; links are followed once."""
    yield from _walk(root, below, frozenset())


def _walk(root: Path, below: str, seen: frozenset[tuple[int, int]]) -> Iterator[File]:
    folder = root / below if below else root
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return  # a link to a folder above
    seen |= {(status.st_dev, status.st_ino)}
    with os.scandir(folder) as entries:
        listed = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in listed:
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir():
            yield from _walk(root, path, seen)
        else:
            try:
                found = entry.stat()
            except OSError:  # a link to nothing is a file that cannot be read, and gets its row
                found = entry.stat(follow_symlinks=False)
            yield File(path, found.st_size, found.st_mtime_ns)


def unique_names(proposed: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Names as proposed, but with the whole path where two files would share one.

    >>> unique_names(["cat/1", "cat/1", "cat/2"], ["cat/1.jpg", "cat/1.png", "cat/2.jpg"])
    ['cat/1.jpg', 'cat/1.png', 'cat/2']
    """
    counted = Counter(proposed)
    return [path if counted[name] > 1 else name for name, path in zip(proposed, paths, strict=True)]


def image_rows(names: Sequence[str], files: Sequence[File], licence: str, author: str) -> pa.RecordBatch:
    """A batch of `IMAGES` for files that are images of their own."""
    n = len(names)
    return pa.record_batch(
        [
            pa.array(names, pa.string()),
            pa.array([file.path for file in files], pa.string()),
            pa.array([WHOLE_FILE] * n, pa.int64()),
            pa.array([file.size for file in files], pa.int64()),
            pa.array([""] * n, pa.string()),
            pa.array([licence] * n, pa.string()),
            pa.array([author] * n, pa.string()),
            pa.array([file.mtime for file in files], pa.int64()),
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
