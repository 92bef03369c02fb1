"""List the image files of a folder tree in a fixed order."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.label_states import PRESENT
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.image_signatures import note_other_name
from mlimg_build.sources.protocol import IMAGES, LABELS, WHOLE_FILE, File, Notes
from mlimg_build.sources.read_errors import is_forbidden, is_gone, is_of_one_file, is_of_the_name, lost
from mlimg_build.spec.suggestions import did_you_mean
from mlimg_build.text_limits import ID, over

__all__ = [
    "SUFFIXES",
    "File",
    "Listing",
    "entries_of",
    "image_rows",
    "images_only",
    "is_file",
    "is_folder",
    "is_hidden",
    "is_image_name",
    "is_text",
    "require_folder",
    "shown",
    "shows",
    "stat_of",
    "stem",
    "unique_names",
    "walk",
    "watched",
]

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp"),
        *(".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    }
)


class Listing:
    """Digests of the files of a tree, one per first-level folder; "" has the files outside of any.

    A file that is neither an image nor a tar by its name is digested by its path alone, as a log may grow; with
    `whole`, every file is digested with its size and times of change.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._digests: dict[str, hashlib._Hash] = {}

    def add(self, file: File) -> None:
        """Add a file to its digest; files are added in the order of `walk`."""
        folder, inside, _ = file.path.partition("/")
        digest = self._digests.setdefault(folder if inside else "", hashlib.sha256())
        told = f"{file.path};"
        if self._whole or is_image_name(file.path) or file.path.endswith(".tar"):
            told = f"{file.path}:{file.size}:{file.mtime}:{file.ctime};"
        digest.update(told.encode())

    def digests(self) -> dict[str, str]:
        """Return the sha256 (hex) of each folder."""
        return {folder: digest.hexdigest() for folder, digest in self._digests.items()}


def is_image_name(path: str) -> bool:
    """Return whether a file is an image by its name; its content is checked later.

    >>> is_image_name("n01440764/n01440764_10026.JPEG"), is_image_name("notes.txt")
    (True, False)
    """
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def stem(path: str) -> str:
    """Return the path without an image suffix.

    >>> stem("cats/one.two.jpg"), stem("cats/one.two")
    ('cats/one.two', 'cats/one.two')
    """
    return path[: -len(PurePosixPath(path).suffix)] if is_image_name(path) else path


def require_folder(folder: Path, what: str) -> None:
    """Raise `SourceError` unless `folder` is a folder that can be listed."""
    if not folder.is_dir():
        raise SourceError(
            Problem(
                "source-missing",
                f"{what} does not exist: {folder}"
                if not folder.exists()
                else f"{what} is not a folder: {folder}",
                hint=f"{did_you_mean(folder, folder=True)}correct the path, or set the variable that the spec takes it "
                "from",
            )
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        raise SourceError(
            Problem("source-unreadable", f"{what} may not be read: {folder}", hint="check its permissions")
        )


def entries_of(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by name. Raises `TransientError` if it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise lost(folder, error) from error


def stat_of(entry: os.DirEntry[str]) -> os.stat_result:
    """Return the status of an entry. Raises `TransientError` if `stat` fails."""
    try:
        return entry.stat()
    except OSError as error:
        raise lost(entry.path, error) from error


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or a link to one; False for a link to itself or if access is forbidden.

    Raises `TransientError` for other errors.
    """
    return _is(entry, entry.is_dir)


def is_file(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file or a link to one, in the manner of `is_folder`."""
    return _is(entry, entry.is_file)


def _is(entry: os.DirEntry[str], asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except OSError as error:
        if is_of_the_name(error) or is_forbidden(error):
            return False
        raise lost(entry.path, error) from error


def is_text(name: str) -> bool:
    """Return whether a file name is UTF-8; other names cannot be stored in a catalog.

    >>> is_text("Ameisenbär.jpg"), is_text("Ameisenb\\udce4r.jpg")
    (True, False)
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """Return the name in printable form.

    >>> shown("Ameisenb\\udce4r.jpg")
    'Ameisenb\\\\udce4r.jpg'
    """
    return name.encode(errors="backslashreplace").decode()


def is_hidden(path: str) -> bool:
    """Return whether a part of the path starts with a dot, as files left by editors and file managers do.

    >>> is_hidden("cats/._1.jpg"), is_hidden("cats/1.jpg"), is_hidden("../cats/1.jpg")
    (True, False, False)
    """
    return any(part.startswith(".") and part != ".." for part in PurePosixPath(path).parts)


def walk(root: Path, below: str = "", notes: Notes | None = None) -> Iterator[File]:
    """Yield every file under `root/below`, sorted by path component.

    Links are followed, but not to a folder that contains them; a dangling link is a file that is `missing`. Hidden
    entries, names that are not UTF-8, paths of files longer than `ID`, special files (pipes, devices) and folders that
    may not be entered are noted and left out. Raises `TransientError` if a folder disappears meanwhile, or the disk or
    the mount fails.
    """
    yield from _walk(root, below, frozenset(), Notes() if notes is None else notes)


def watched(files: Iterator[File], notes: Notes, *, whole: bool = False) -> Iterator[File]:
    """Yield the files of a source; at their end add the digests of their `Listing` to `notes.walked`."""
    listing = Listing(whole=whole)
    for file in files:
        listing.add(file)
        yield file
    notes.walked |= listing.digests()


def _walk(root: Path, below: str, above: frozenset[tuple[int, int]], notes: Notes) -> Iterator[File]:
    folder = root / below if below else root
    try:
        status = folder.stat()
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if not (is_forbidden(error) or is_of_the_name(error)):
            raise lost(folder, error) from error
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
        except OSError as error:
            if is_forbidden(error) and entry.is_dir(follow_symlinks=False):
                notes.add("folder-unreadable", f"{path}: {error.strerror}")
                continue
            yield _unseen(path, entry, error)
            continue
        if stat.S_ISDIR(found.st_mode):
            yield from _walk(root, path, above, notes)
        elif why := over(composed(path), ID):
            notes.add("text-too-long", f"{path}: {why}")
        elif stat.S_ISREG(found.st_mode):
            yield File(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        else:
            notes.add("not-a-plain-file", path)


def _unseen(path: str, entry: os.DirEntry[str], error: OSError) -> File:
    """Return the row of a dangling link or a file whose `stat` failed. Raises `TransientError` for other errors."""
    if is_of_the_name(error) or (is_gone(error) and entry.is_symlink()):
        return File(path, -1, 0, missing=True)
    if is_of_one_file(error):  # reading it will tell
        return File(path, -1, 0)
    raise lost(entry.path, error) from error


def unique_names(proposed: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return the proposed names, but the whole path for files that would share one; unique if the paths are.

    >>> unique_names(["cat/1", "cat/1", "cat/2"], ["cat/1.jpg", "cat/1.png", "cat/2.jpg"])
    ['cat/1.jpg', 'cat/1.png', 'cat/2']
    """
    names = list(proposed)
    while True:  # a path may equal the name of another file, which then takes its path too
        counted = Counter(names)
        chosen = [path if counted[name] > 1 else name for name, path in zip(names, paths, strict=True)]
        if chosen == names:
            return names
        names = chosen


def image_rows(
    names: Sequence[str], files: Sequence[File], licence: str | Sequence[str], author: str | Sequence[str]
) -> pa.RecordBatch:
    """Return a batch of `IMAGES` for image files; licence and author are one for all, or one per file."""
    n = len(names)
    return pa.record_batch(
        [
            pa.array(names, pa.string()),
            pa.array([file.path for file in files], pa.string()),
            pa.array([WHOLE_FILE] * n, pa.int64()),
            pa.array([file.size for file in files], pa.int64()),
            pa.array(["missing" if file.missing else "" for file in files], pa.string()),
            pa.array([licence] * n if isinstance(licence, str) else licence, pa.string()),
            pa.array([author] * n if isinstance(author, str) else author, pa.string()),
            pa.array([file.mtime for file in files], pa.int64()),
            pa.array([file.ctime for file in files], pa.int64()),
        ],
        schema=IMAGES,
    )


def images_only(files: Iterator[File], root: Path, notes: Notes) -> Iterator[File]:
    """Yield the files below a root that are images by name; note the others."""
    for file in files:
        if is_image_name(file.path):
            yield file
        else:
            note_other_name(notes, file.path, root / file.path)


def shows(category: str, images: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch of `LABELS` stating that every image of the batch shows the category."""
    n = len(images)
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(pa.array(np.arange(n, dtype=np.int32)), images.column("name")),
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([category])),
            pa.repeat(pa.scalar(PRESENT, pa.int8()), n),
            pa.repeat(pa.scalar(1.0, pa.float64()), n),
            pa.repeat(pa.scalar(0, pa.int64()), n),
        ],
        names=LABELS.names,
    )
