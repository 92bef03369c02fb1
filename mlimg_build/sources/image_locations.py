"""Locate the images of a list: files below a root, members of a synset's tar, or URLs."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_paths import ODD, ImagePaths, is_url
from mlimg_build.sources.protocol import IMAGES, WHOLE_FILE, Notes
from mlimg_build.sources.read_errors import is_gone, is_of_one_file, is_of_the_name, lost
from mlimg_build.sources.tar_index import members

__all__ = ["Archive", "Found"]

LOOKED = 1 << 16  # paths that are looked up at a time
PLAIN_URL = r"^(?i:https?)://[\x20-\x7e]*[\x21-\x7e]$"


class Found(NamedTuple):
    """The location of the bytes of one image, as the columns of `IMAGES`."""

    path: str
    offset: int = WHOLE_FILE
    size: int = -1
    status: str = ""
    mtime: int = 0
    ctime: int = 0


class Archive:
    """Finds images by the paths that a list gives; `n02105855/x.JPEG` is also found in `n02105855.tar`."""

    def __init__(self, root: Path | None, notes: Notes) -> None:
        self.root = root
        self.notes = notes
        self._paths = ImagePaths(root)
        self._tars: dict[str, _Tar | None] = {}

    def rows(
        self,
        paths: pa.Array,
        licence: str | pa.Array,
        author: str | pa.Array,
    ) -> pa.RecordBatch:
        """Return a batch of `IMAGES`, one row per path, named by its normal form; other spellings are noted.

        URLs, and plain paths if there is no root, are not looked up, so they are handled as whole columns.
        """
        n = len(paths)
        url = pc.match_substring_regex(paths, PLAIN_URL)
        plain = (
            url
            if self.root is not None
            else pc.or_(url, pc.invert(pc.match_substring_regex(paths, ODD.pattern)))
        )
        columns: dict[str, pa.Array] = {
            "name": paths,
            "path": paths,
            "offset": pa.repeat(pa.scalar(WHOLE_FILE, pa.int64()), n),
            "size": pa.repeat(pa.scalar(-1, pa.int64()), n),
            "status": pc.if_else(url, "not_fetched", "missing"),
            "licence": pa.repeat(licence, n) if isinstance(licence, str) else licence,
            "author": pa.repeat(author, n) if isinstance(author, str) else author,
            "mtime": pa.repeat(pa.scalar(0, pa.int64()), n),
            "ctime": pa.repeat(pa.scalar(0, pa.int64()), n),
        }
        looked = pc.invert(plain)
        given = paths.filter(looked)
        if len(given):
            parts = [self._placed(given.slice(start, LOOKED)) for start in range(0, len(given), LOOKED)]
            for field in parts[0]:
                made = pa.concat_arrays([part[field] for part in parts])
                columns[field] = pc.replace_with_mask(columns[field], looked, made)
        return pa.record_batch([columns[field.name] for field in IMAGES], schema=IMAGES)

    def _placed(self, paths: pa.Array) -> dict[str, pa.Array]:
        """Return the columns of `IMAGES` that `find` gives for some paths; other spellings are noted."""
        given = paths.to_pylist()
        placed = [self.find(path) for path in given]
        for path, (name, place) in zip(given, placed, strict=True):
            if name != path and place.status != "outside":
                self.notes.add("other-spelling", f"{path} is {name}")
        values = {"name": [name for name, _ in placed]}
        values |= {field: [getattr(place, field) for _, place in placed] for field in Found._fields}
        return {field: pa.array(found, IMAGES.field(field).type) for field, found in values.items()}

    def find(self, given: str) -> tuple[str, Found]:
        """Return the name and the location of one image; nothing outside the root is accessed."""
        if is_url(given.lstrip()):
            return given.strip(), Found(given.strip(), status="not_fetched")
        name, path = self._paths.find(given)
        if path is None:
            return name, Found(name, status="missing" if self.root is None else "outside")
        if self.root is None:
            return name, Found(path, status="missing")
        try:
            status = (self.root / path).stat()
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._look_at(path, error)
                if is_of_one_file(error):  # reading it will tell
                    return name, Found(path)
            folder, _, file = path.rpartition("/")
            tar = self._tar(folder.split("/", 1)[0]) if folder else None
            return name, (tar.find(file) if tar else None) or Found(path, status="missing")
        if not stat.S_ISREG(status.st_mode):
            return name, Found(path, status="missing")
        return name, Found(path, size=status.st_size, mtime=status.st_mtime_ns, ctime=status.st_ctime_ns)

    def _look_at(self, path: str, error: OSError) -> None:
        """Raise `TransientError` if a failed `stat` is an error of the mount, not a fact about the image."""
        assert self.root is not None  # noqa: S101  else nothing was looked at
        if is_gone(error):
            try:
                os.stat(f"{self.root}/.")  # noqa: PTH116  the dot triggers a mount on demand
            except OSError as other:
                raise lost(self.root, other) from other
        elif not (is_of_one_file(error) or is_of_the_name(error)):
            raise lost(self.root / path, error) from error

    def _tar(self, synset: str) -> _Tar | None:
        if synset not in self._tars:
            path = self.root / f"{synset}.tar" if self.root else Path()
            self._tars[synset] = _index(path, self.notes) if _is_file(path) else None
        return self._tars[synset]


@dataclass(frozen=True, slots=True)
class _Tar:
    """The members of a tar sorted by base name: 40 bytes per image, as a list may name ten million."""

    path: str
    mtime: int
    ctime: int
    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    whole: np.ndarray

    def find(self, name: str) -> Found | None:
        wanted = name.encode()
        at = int(np.searchsorted(self.names, wanted)) if len(self.names) else 0
        if at == len(self.names) or self.names[at] != wanted:
            return None
        status = "" if self.whole[at] else "truncated"
        return Found(
            self.path,
            int(self.offsets[at]),
            int(self.sizes[at]),
            status,
            self.mtime,
            0 if status else self.ctime,
        )


def _index(path: Path, notes: Notes) -> _Tar:
    state = path.stat()
    found = sorted(
        ((member.name.rsplit("/", 1)[-1].encode(), member) for member in members(path, notes)),
        key=lambda pair: pair[0],
    )
    for (name, _), (other, member) in pairwise(found):
        if name == other:
            notes.add("member-twice", f"{path.name}: {member.name}")  # the first in the tar counts
    return _Tar(
        path.name,
        state.st_mtime_ns,
        state.st_ctime_ns,
        np.array([name for name, _ in found], dtype=np.bytes_),
        np.array([member.offset for _, member in found], dtype=np.int64),
        np.array([member.size for _, member in found], dtype=np.int64),
        np.array([member.whole for _, member in found], dtype=bool),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except ValueError:
        return False
    except OSError as error:
        if is_of_the_name(error):
            return False
        raise lost(path, error) from error
