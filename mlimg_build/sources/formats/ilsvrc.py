"""The format `ilsvrc`: ImageNet's flat validation images, in a folder or one tar, with the list of their labels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.label_states import PRESENT
from mlimg_build.sources.ilsvrc.ground_truth import GroundTruth, Numbering, Statement, name_of
from mlimg_build.sources.ilsvrc.synset_tables import SynsetTable, read_synset_table
from mlimg_build.sources.image_files import (
    image_rows,
    images_only,
    require_folder,
    unique_names,
    walk,
    watched,
)
from mlimg_build.sources.lists.line_blocks import require_file
from mlimg_build.sources.protocol import LABELS, Batch, Category, File, Notes, record
from mlimg_build.sources.read_errors import lost, moving
from mlimg_build.sources.tar_index import member_rows, members
from mlimg_build.spec import IlsvrcSource
from mlimg_build.spec.suggestions import did_you_mean

__all__ = ["Ilsvrc"]


class Ilsvrc:
    """Images called by their file's name without its suffix; their synsets are in a list beside them."""

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: IlsvrcSource) -> None:
        self.name = name
        self.part = part
        self.lists: tuple[Path, ...] = (part.labels,)
        self.files: tuple[Path, ...] = (part.labels, *([part.synsets] if part.synsets else []))

    @cached_property
    def root(self) -> Path | None:
        """The folder of the images, or that of their tar."""
        return self.part.images.parent if self._in_tar() else self.part.images

    def categories(self) -> Iterator[Category]:
        """Yield the synsets of the table, if there is one; others are known only from the list."""
        table = self._table()
        if table is not None:
            yield from (Category(wnid, name, wnid) for wnid, name in table.names.items())

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the files of the folder, or the tar."""
        if not self._in_tar():
            yield from walk(self.part.images, notes=notes)
            return
        path = self.part.images
        try:
            state = path.stat()
        except OSError as error:
            raise lost(path, error) from error
        yield File(path.name, state.st_size, state.st_mtime_ns, state.st_ctime_ns)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield the images, then the labels.

        Raises:
            SourceError: if the numbers of the list cannot be those of the table; see `GroundTruth`.
        """
        require_file(self.part.labels, f"the labels of source {self.name}")
        images = self._images(notes)
        names: list[str] = images.column("name").to_pylist()
        yield Batch(images, None)
        truth = GroundTruth(self.name, self.part.labels, self._table(), notes)
        labelled: set[str] = set()
        for block in truth.statements(Numbering(self.name, names)):
            labelled.update(one.image for one in block)
            yield Batch(None, _labels(block))
        without = [name for name in names if name not in labelled]
        if without:
            notes.add("image-without-label", without[0], len(without))

    def _in_tar(self) -> bool:
        return self.part.images.suffix == ".tar" and not self.part.images.is_dir()

    def _table(self) -> SynsetTable | None:
        path = self.part.synsets
        return None if path is None else read_synset_table(path, f"the synsets of source {self.name}")

    def _images(self, notes: Notes) -> pa.RecordBatch:
        part = self.part
        if not self._in_tar():
            require_folder(part.images, f"the image folder of source {self.name}")
            files = list(images_only(watched(self.listing(notes), notes), part.images, notes))
            paths = [file.path for file in files]
            return image_rows(_names(paths), files, part.licence, part.author)
        if not part.images.exists():
            message = f"source {self.name}: there is no tar {part.images}"
            raise SourceError(
                Problem("source-missing", message, hint=f"{did_you_mean(part.images)}correct `images`")
            )
        (file,) = watched(self.listing(notes), notes)
        found = members(part.images, notes)
        state = part.images.stat()
        if (state.st_size, state.st_mtime_ns, state.st_ctime_ns) != (file.size, file.mtime, file.ctime):
            raise moving(str(part.images))
        return member_rows(_names([one.name for one in found]), file, found, part.licence, part.author)


def _names(paths: list[str]) -> list[str]:
    return unique_names([name_of(path) for path in paths], paths)


def _labels(block: list[Statement]) -> pa.RecordBatch:
    n = len(block)
    lines = np.array([one.line for one in block], np.int64)
    columns = [
        pa.array([one.image for one in block], pa.string()),
        pa.array([one.wnid for one in block], pa.string()),
        pa.repeat(pa.scalar(PRESENT, pa.int8()), n),
        pa.repeat(pa.scalar(1.0, pa.float64()), n),
        pa.array(record(0, lines)),
    ]
    return pa.record_batch(columns, schema=LABELS)
