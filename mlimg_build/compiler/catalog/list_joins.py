"""Whether the lists of a source and its folder of images speak of the same images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import StoredTable, hash_names
from mlimg_build.compiler.catalog.near_names import NearNames
from mlimg_build.sources import WHOLE_FILE, Notes, Source
from mlimg_build.sources.image_files import is_image_name, walk

__all__ = ["Join", "join_of"]

SAMPLE = 1000  # names that are not found, whose namesakes are looked for
LOOKED = 1 << 18  # files that are looked at for that
BATCH = 1 << 16
COLUMNS = ("name", "path", "offset", "status", "key")
THERE = pa.array(["", "truncated"])


@dataclass(frozen=True, slots=True)
class Join:
    """How the images that lists name and those of a folder meet; URLs count on neither side.

    `near` has first a namesake that is most like the others, `spelled` says how many of the sample differ in spelling
    only, and `lost` and `spare` are an example of each side, "" where there is none.
    """

    listed: int  # images that the lists name
    found: int  # of them
    there: int  # images in the folder
    used: int  # of them, that the lists name
    tars: int
    lost: str
    spare: str
    spelled: int
    moved: int  # namesakes in another folder
    near: tuple[str, str, tuple[str, ...]] | None


def join_of(source: Source, images: StoredTable, statements: StoredTable) -> Join | None:
    """How a source's lists meet its folder; None for a source without lists.

    The tables are the catalog's, whose batches are of the same ranges of keys. Where the rows come from the lists, the
    folder is walked for what no list names; memory is then eight bytes an image that is there.
    """
    if not source.lists:
        return None
    listed = found = there = 0
    lost: list[str] = []
    for part in _parts(source, images, statements):
        listed += int(np.count_nonzero(part.named & part.local))
        found += int(np.count_nonzero(part.named & part.there))
        there += int(np.count_nonzero(part.there))
        if len(lost) < SAMPLE:
            away = part.batch.column("name").filter(pa.array(part.named & part.local & ~part.there))
            lost += away.slice(0, SAMPLE - len(lost)).to_pylist()
    near = NearNames(lost)
    spare, tars = _Spare(near), 0
    if source.root is None:
        files = 0
    elif source.lists_name_images:
        files, tars = _walked(source.root, _known_paths(source, images, statements), spare)
    else:
        files = there
        for part in _parts(source, images, statements):
            unused = part.batch.filter(pa.array(part.there & ~part.named))
            spare.add(unused.column("path").to_pylist(), unused.column("name").to_pylist())
    telling = near.spelled() or list(near.found.values())
    return Join(
        listed=listed,
        found=found,
        there=files,
        used=files - spare.count,
        tars=tars,
        lost=lost[0] if lost else "",
        spare=spare.example,
        spelled=len(near.spelled()),
        moved=len(near.found) - len(near.spelled()),
        near=(telling[0].listed, telling[0].there, telling[0].kinds) if telling else None,
    )


class _Part(NamedTuple):
    """Some images, and of each whether a list names it, whether it is no URL, and whether its bytes are there."""

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
            pc.is_in(status, THERE).to_numpy(zero_copy_only=False),
        )


def _known_paths(source: Source, images: StoredTable, statements: StoredTable) -> npt.NDArray[np.uint64]:
    """The hashes of the paths of the files that are images, sorted."""
    known = [np.empty(0, np.uint64)]
    for part in _parts(source, images, statements):
        whole = pc.equal(part.batch.column("offset"), WHOLE_FILE).to_numpy(zero_copy_only=False)
        paths = part.batch.column("path").filter(pa.array(part.there & whole))
        known.append(hash_names("", paths.to_pylist())[0])
    return np.sort(np.concatenate(known))


class _Spare:
    """Counts the files that no list names, and shows the first of them to `near`."""

    def __init__(self, near: NearNames) -> None:
        self.near, self.count, self.example = near, 0, ""

    def add(self, paths: Sequence[str], names: Sequence[str]) -> None:
        for path, name in zip(paths[: max(0, LOOKED - self.count)], names, strict=False):
            self.near.look(path, name)
        self.count += len(paths)
        self.example = self.example or (paths[0] if paths else "")


def _walked(root: Path, known: npt.NDArray[np.uint64], spare: _Spare) -> tuple[int, int]:
    """The images and the tars below a root; images whose path is not `known` are added to `spare`."""
    files = tars = 0
    walked = (file.path for file in walk(root, notes=Notes()))
    while paths := list(islice(walked, BATCH)):
        tars += sum(path.endswith(".tar") for path in paths)
        paths = [path for path in paths if is_image_name(path)]
        files += len(paths)
        hashes = hash_names("", paths)[0]
        at = np.minimum(np.searchsorted(known, hashes), max(len(known) - 1, 0))
        new = known[at] != hashes if len(known) else np.full(len(paths), True)
        unknown = [path for path, one in zip(paths, new.tolist(), strict=True) if one]
        spare.add(unknown, unknown)
    return files, tars
