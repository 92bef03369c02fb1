"""Whether the lists of a source and its folder of images speak of the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.compiler.catalog.arrow_tables import hash_names
from mlimg_build.compiler.catalog.near_names import NearNames
from mlimg_build.sources import WHOLE_FILE, Notes, Source
from mlimg_build.sources.image_files import is_image_name, walk

__all__ = ["Join", "join_of"]

SAMPLE = 1000  # names that are not found, whose namesakes are looked for
LOOKED = 1 << 18  # files that are looked at for that
BATCH = 1 << 16


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


def join_of(source: Source, images: pa.Table, keys: npt.NDArray[np.uint64]) -> Join | None:
    """How a source's lists meet its folder; None for a source without lists.

    `images` is the catalog's table, `keys` those of the images that have a statement. Where the rows come from the
    lists, the folder is walked for what no list names.
    """
    if not source.lists:
        return None
    status, own = images.column("status"), images.column("key").to_numpy()
    local = pc.not_equal(status, "not_fetched").to_numpy(zero_copy_only=False)
    there = pc.is_in(status, pa.array(["", "truncated"])).to_numpy(zero_copy_only=False)
    named = np.full(len(images), True) if source.lists_name_images else np.isin(own, keys)
    lost = images.filter(pa.array(named & local & ~there)).column("name")
    near = NearNames(lost[:SAMPLE].to_pylist())
    spare, tars = _Spare(near), 0
    if source.root is None:
        files = 0
    elif source.lists_name_images:
        whole = pc.equal(images.column("offset"), WHOLE_FILE).to_numpy(zero_copy_only=False)
        known = np.sort(hash_names("", images.filter(pa.array(there & whole)).column("path").to_pylist())[0])
        files, tars = _walked(source.root, known, spare)
    else:
        files = int(there.sum())
        unused = images.filter(pa.array(there & ~named)).select(["path", "name"])
        for batch in unused.to_batches(max_chunksize=BATCH):
            spare.add(batch.column("path").to_pylist(), batch.column("name").to_pylist())
    telling = near.spelled() or list(near.found.values())
    return Join(
        listed=int((named & local).sum()),
        found=int((named & there).sum()),
        there=files,
        used=files - spare.count,
        tars=tars,
        lost=lost[0].as_py() if len(lost) else "",
        spare=spare.example,
        spelled=len(near.spelled()),
        moved=len(near.found) - len(near.spelled()),
        near=(telling[0].listed, telling[0].there, telling[0].kinds) if telling else None,
    )


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
