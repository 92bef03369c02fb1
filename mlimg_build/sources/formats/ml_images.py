"""The published lists of Tencent ML-Images, `path-or-URL<TAB>index:confidence…`, and their dictionary."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.confidences import confidences
from mlimg_build.sources.delimited import filled
from mlimg_build.sources.image_files import require_folder
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.line_blocks import read_lines, require_file
from mlimg_build.sources.ml_images_dictionary import Dictionary, read_dictionary
from mlimg_build.sources.protocol import LABELS, Batch, Category, Notes, record
from mlimg_build.spec import MLImagesSource

__all__ = ["MLImages"]

IGNORED = -1.0  # the training code's mark for "do not count this label"; no published row has it


class MLImages:
    """Published rows as they are: their labels already hold the ancestors that their authors added."""

    complete = True
    lists_name_images = True

    def __init__(self, name: str, part: MLImagesSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = tuple(part.lists)
        self.files: tuple[Path, ...] = (*self.lists, part.dictionary)

    def categories(self) -> Iterator[Category]:
        """All categories of the dictionary, in its order."""
        dictionary = self._dictionary()
        for wnid, name in zip(dictionary.wnids, dictionary.names, strict=True):
            yield Category(wnid, name, wnid)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Batches of rows; the bytes of a URL are not fetched, of a path are looked for below `images`."""
        wnids = pa.array(self._dictionary().wnids)
        if self.root is not None:
            require_folder(self.root, f"the image folder of source {self.name}")
        archive = Archive(self.root, notes)
        rows = 0
        for i, path in enumerate(self.lists):
            for lines, numbers in read_lines(path, f"a list of source {self.name}", notes):
                images, labels = self._batch(lines, numbers, i, wnids=wnids, archive=archive, notes=notes)
                rows += len(images)
                yield Batch(images, labels)
        if not rows:
            raise SourceError(
                Problem("list-empty", f"the lists of source {self.name} have no row", hint="get them again")
            )

    def _dictionary(self) -> Dictionary:
        require_file(self.part.dictionary, f"the dictionary of source {self.name}")
        return read_dictionary(self.part.dictionary)

    def _batch(
        self, lines: pa.Array, numbers: np.ndarray, i: int, *, wnids: pa.Array, archive: Archive, notes: Notes
    ) -> tuple[pa.RecordBatch, pa.RecordBatch]:
        file = self.lists[i].name
        # some copies of the published lists have blanks where others have tabs
        fields = pc.split_pattern(pc.replace_substring_regex(lines, r" +(\d{1,9}:)", "\t\\1"), "\t")
        paths = pc.utf8_trim_whitespace(pc.list_element(fields, 0))
        named = filled(paths, numbers, file, notes, "row-without-image")
        fields, numbers = fields.filter(pa.array(named)), numbers[named]
        paths = paths.filter(pa.array(named))
        images = archive.rows(paths.to_pylist(), self.part.licence, self.part.author)
        row, flat = pc.list_parent_indices(fields).to_numpy(), pc.list_flatten(fields)
        label = np.diff(row, prepend=-1) == 0  # the first field of a row is the image
        label &= pc.not_equal(flat, "").to_numpy(zero_copy_only=False)
        row, flat = row[label], flat.filter(pa.array(label))
        pairs = pc.extract_regex(flat, r"^(?P<index>\d{1,9}):(?P<confidence>.*)$")
        index = pc.fill_null(pc.struct_field(pairs, "index"), "999999999").cast(pa.int64()).to_numpy()
        good = pc.is_valid(pairs).to_numpy(zero_copy_only=False) & (index < len(wnids))
        for at in np.flatnonzero(~good):
            notes.add("bad-label", f"{file}:{numbers[row[at]]}: {flat[int(at)].as_py()!r}")
        row, index, pairs = row[good], index[good], pairs.filter(pa.array(good))
        stated = pc.struct_field(pairs, "confidence")
        values, good = confidences(stated, numbers[row], file, notes, ignored=IGNORED)
        ignored = values == IGNORED
        if ignored.any():
            notes.add("ignored-label", f"{file}:{numbers[row[ignored][0]]}", int(ignored.sum()))
        good &= ~ignored
        labels = pa.record_batch(
            [
                images.column("name").take(pa.array(row[good])),
                wnids.take(pa.array(index[good])),
                pa.array(values[good], pa.float64()),
                pa.array(record(i, numbers[row[good]]), pa.int64()),
            ],
            schema=LABELS,
        )
        return images, labels
