"""Find the Parquet files that a spec names: one, a folder of them, or those whose paths meet a pattern."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import is_hidden, is_image_name, is_text, unique_names, walk
from mlimg_build.sources.image_paths import composed
from mlimg_build.sources.protocol import File, Notes
from mlimg_build.sources.read_errors import lost
from mlimg_build.spec.suggestions import did_you_mean

__all__ = ["base_names", "every_file", "is_pattern", "parquet_files", "root_of"]

MAGIC = frozenset("*?[")
SUFFIX = ".parquet"
NUMBERED = re.compile(r"(.*?)-?([0-9]{4,6})-of-([0-9]{4,6})(?:-[0-9a-f]+)?\.parquet", re.DOTALL)
SHOWN = 3  # missing files that are named
OTHERS = {  # what else holds such data: its suffix, and what to do with it
    ".arrow": "write Arrow files as Parquet: datasets.load_from_disk(FOLDER)[SPLIT].to_parquet(FILE)",
    ".tar": "tars of images are a source of another type",
    ".jpg": "a folder of images is a source of `type: folder`",
    ".jpeg": "a folder of images is a source of `type: folder`",
    ".png": "a folder of images is a source of `type: folder`",
    ".csv": "a table of paths is a source of `type: table`",
}


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of paths, and no file or folder of that name.

    >>> is_pattern(Path("data/train-*.parquet")), is_pattern(Path("data"))
    (True, False)
    """
    return not MAGIC.isdisjoint(str(path)) and not os.path.lexists(path)


def root_of(path: Path) -> Path:
    """Return the folder that the files' paths are relative to: that of a file, the one before a pattern begins.

    >>> str(root_of(Path("data/*/train-*.parquet")))
    'data'
    """
    if not is_pattern(path):
        return path if path.is_dir() else path.parent
    first = next(i for i, part in enumerate(path.parts) if not MAGIC.isdisjoint(part))
    return Path(*path.parts[:first])


def every_file(path: Path, notes: Notes) -> Iterator[File]:
    """Yield the files that decide the catalog: the Parquet files, and all others if `path` is a folder."""
    if not is_pattern(path):
        yield from walk(path, notes=notes) if path.is_dir() else [_looked_at(path.parent, path)]
        return
    root = root_of(path)
    try:
        found = sorted(root.glob(str(path.relative_to(root))), key=lambda one: one.parts)
    except (OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, OSError):
            raise lost(root, error) from error
        message = f"{path} is no pattern of paths: {error}"
        raise SourceError(
            Problem("source-missing", message, hint="write it as data/train-*.parquet")
        ) from error
    for one in found:
        below = one.relative_to(root)
        if one.is_dir():
            continue
        if not is_text(str(below)):
            notes.add("name-not-utf-8", str(below).encode(errors="backslashreplace").decode())
        elif is_hidden(str(below)):
            notes.add("hidden", str(below))
        else:
            yield _looked_at(root, one)


def parquet_files(source: str, path: Path, notes: Notes) -> list[File]:
    """Return the Parquet files in the order of their paths; others of a folder are noted, but images are not.

    Raises:
        SourceError: `source-missing` if the path leads nowhere, `source-empty` if there is no such file,
            `shards-missing` if a folder lacks one of train-00000-of-00012.parquet and its kind; with a pattern that is
            noted.
    """
    if not is_pattern(path) and not path.exists():
        message = f"source {source}: there is no {path}"
        hint = "`images` is a Parquet file, a folder of them, or a pattern such as data/train-*.parquet"
        raise SourceError(Problem("source-missing", message, hint=did_you_mean(path) + hint))
    folder = path.is_dir()
    found: list[File] = []
    other = ""
    for file in every_file(path, notes):
        if not folder or PurePosixPath(file.path).suffix.lower() == SUFFIX:
            found.append(file)
            continue
        other = next((why for end, why in OTHERS.items() if file.path.lower().endswith(end)), other)
        if not is_image_name(file.path):
            notes.add("not-a-parquet-file", file.path)
    if not found:
        what = f"no file of {path} ends in {SUFFIX}" if folder else f"no file meets the pattern {path}"
        hint = other or f"the nearest folder that exists is {_existing(path)}"
        raise SourceError(Problem("source-empty", f"source {source}: {what}", hint=hint))
    missing = [*_missing(found)]
    if missing and folder:
        more = f" and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
        what = f"{', '.join(missing[:SHOWN])}{more} {'is' if len(missing) == 1 else 'are'} not there"
        hint = f"get it again, or take what is there: images: {path}/**/*.parquet"
        raise SourceError(Problem("shards-missing", f"source {source}: {what}", hint=hint))
    if is_pattern(path):
        for name in missing:
            notes.add("shards-missing", name)
    return found


def _missing(files: Sequence[File]) -> Iterator[str]:
    """Yield the names of files that the others say there are; a set without 0 that has its last counts from 1.

    >>> [*_missing([File("train-00000-of-00003.parquet", 1, 0), File("train-00002-of-00003.parquet", 1, 0)])]
    ['train-00001-of-00003.parquet']
    >>> [*_missing([File("train-00001-of-00002.parquet", 1, 0), File("train-00002-of-00002.parquet", 1, 0)])]
    []
    """
    numbers: dict[tuple[str, str], set[int]] = defaultdict(set)
    for file in files:
        if said := NUMBERED.fullmatch(file.path):
            numbers[said[1], said[3]].add(int(said[2]))
    for (begin, total), there in sorted(numbers.items()):
        first = int(0 not in there and int(total) in there)  # some count from 1
        for number in sorted({*range(first, int(total) + first)} - there):
            yield f"{begin}-{number:0{len(total)}d}-of-{total}{SUFFIX}"


def base_names(files: list[File]) -> list[str]:
    """Return what the names of the images of each file begin with: its path without the suffix, if that is its own.

    >>> base_names([File("data/train-0.parquet", 1, 0), File("x.PARQUET", 1, 0)])
    ['data/train-0', 'x']
    """
    paths = [composed(file.path) for file in files]
    short = [path[: -len(SUFFIX)] if path.lower().endswith(SUFFIX) else path for path in paths]
    return unique_names(short, [file.path for file in files])


def _looked_at(root: Path, path: Path) -> File:
    try:
        status = path.stat()
    except OSError as error:
        raise lost(path, error) from error
    below = path.relative_to(root).as_posix()
    return File(below, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
