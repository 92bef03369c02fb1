"""Compare the images that the lists of a source name with those in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import StoredTable, hash_names
from mlimg_build.compiler.catalog.near_names import NearNames
from mlimg_build.sources import WHOLE_FILE, Source
from mlimg_build.sources.image_files import File, is_image_name

__all__ = ["Join", "ListJoin"]

SAMPLE = 1000  # names that are not found, for which similar file names are searched
LOOKED = 1 << 18  # files that are searched for them
BATCH = 1 << 16
COLUMNS = ("name", "path", "offset", "status", "key")
THERE = ["", "truncated"]


@dataclass(frozen=True, slots=True)
class Join:
    """How the images that lists name match those of a folder; URLs count on neither side.

    `near` is an example of a listed name, a file with a similar name, and their differences, preferably in spelling
    only. `spelled` counts the names of the sample that differ in spelling only. `lost` is an example of a listed image
    that is not found, `spare` one of a file that is not listed; "" if there is none.
    """

    listed: int  # images that the lists name
    found: int  # of those, the images that exist
    there: int  # images in the folder
    used: int  # of those, the images that the lists name
    tars: int
    lost: str
    spare: str
    spelled: int
    moved: int  # names of the sample with a similar name in another folder
    near: tuple[str, str, tuple[str, ...]] | None


class ListJoin:
    """Compares a source's lists with its folder, while the caller walks the folder and passes its files to `watch`.

    The tables are the catalog's, whose batches cover the same ranges of keys. If rows come from the lists, every
    file is looked up among their images, which takes eight bytes of memory per image that exists.
    """

    def __init__(self, source: Source, images: StoredTable, statements: StoredTable) -> None:
        self._asked = any(path in source.files for path in source.lists)  # tars are lists of their own images
        self._waiting: list[str] = []
        self._known: npt.NDArray[np.uint64] | None = None
        self._listed = self._found = self._files = self._tars = 0
        self._lost: list[str] = []
        if not self._asked:
            return
        for part in _parts(source, images, statements):
            self._listed += int(np.count_nonzero(part.named & part.local))
            self._found += int(np.count_nonzero(part.named & part.there))
            if len(self._lost) < SAMPLE:
                away = part.batch.column("name").filter(pa.array(part.named & part.local & ~part.there))
                self._lost += away.slice(0, SAMPLE - len(self._lost)).to_pylist()
        self._near = NearNames(self._lost)
        self._spare = _Spare(self._near)
        if source.root is not None and source.lists_name_images:
            self._known = _known_paths(source, images, statements)
        elif source.root is not None:
            for part in _parts(source, images, statements):
                self._files += int(np.count_nonzero(part.there))
                unused = part.batch.filter(pa.array(part.there & ~part.named))
                self._spare.add(unused.column("path").to_pylist(), unused.column("name").to_pylist())

    def watch(self, file: File) -> None:
        """Receive a file below the root of the source; to be called with every file."""
        if self._known is not None:
            self._waiting.append(file.path)
            if len(self._waiting) == BATCH:
                self._look()

    def result(self) -> Join | None:
        """Return the comparison, after all files were passed to `watch`; None for a source without lists."""
        if not self._asked:
            return None
        self._look()
        near = self._near
        telling = near.spelled() or list(near.found.values())
        return Join(
            listed=self._listed,
            found=self._found,
            there=self._files,
            used=self._files - self._spare.count,
            tars=self._tars,
            lost=self._lost[0] if self._lost else "",
            spare=self._spare.example,
            spelled=len(near.spelled()),
            moved=len(near.found) - len(near.spelled()),
            near=(telling[0].listed, telling[0].there, telling[0].kinds) if telling else None,
        )

    def _look(self) -> None:
        """Count the images and the tars among the waiting files, and collect those that no list names."""
        paths, self._waiting = self._waiting, []
        if self._known is None or not paths:
            return
        self._tars += sum(path.endswith(".tar") for path in paths)
        paths = [path for path in paths if is_image_name(path)]
        self._files += len(paths)
        hashes = hash_names("", paths)[0]
        at = np.minimum(np.searchsorted(self._known, hashes), max(len(self._known) - 1, 0))
        new = self._known[at] != hashes if len(self._known) else np.full(len(paths), True)
        unknown = [path for path, one in zip(paths, new.tolist(), strict=True) if one]
        self._spare.add(unknown, unknown)


class _Part(NamedTuple):
    """Some images, and for each whether a list names it, whether it is not a URL, and whether its bytes exist."""

    batch: pa.RecordBatch
    named: npt.NDArray[np.bool_]
    local: npt.NDArray[np.bool_]
    there: npt.NDArray[np.bool_]


def _parts(source: Source, images: StoredTable, statements: StoredTable) -> Iterator[_Part]:
    for batch, keys in zip(images.batches(COLUMNS), statements.chunks("key"), strict=True):
        status = batch.column("status")
        if source.lists_name_images:
            named = np.full(len(batch), True)
        else:
            named = np.isin(batch.column("key").to_numpy(), keys.to_numpy())
        yield _Part(
            batch,
            named,
            pc.not_equal(status, "not_fetched").to_numpy(zero_copy_only=False),
            pc.is_in(status, pa.array(THERE)).to_numpy(zero_copy_only=False),
        )


def _known_paths(source: Source, images: StoredTable, statements: StoredTable) -> npt.NDArray[np.uint64]:
    """Return the sorted hashes of the paths of the existing images that are whole files."""
    known = [np.empty(0, np.uint64)]
    for part in _parts(source, images, statements):
        whole = pc.equal(part.batch.column("offset"), WHOLE_FILE).to_numpy(zero_copy_only=False)
        paths = part.batch.column("path").filter(pa.array(part.there & whole))
        known.append(hash_names("", paths.to_pylist())[0])
    return np.sort(np.concatenate(known))


class _Spare:
    """Counts the files that no list names, and passes the first of them to `near`."""

    def __init__(self, near: NearNames) -> None:
        self.near, self.count, self.example = near, 0, ""

    def add(self, paths: Sequence[str], names: Sequence[str]) -> None:
        for path, name in zip(paths[: max(0, LOOKED - self.count)], names, strict=False):
            self.near.look(path, name)
        self.count += len(paths)
        self.example = self.example or (paths[0] if paths else "")
