"""Open Images: CSVs of `ImageID,Source,LabelName,Confidence` and a folder of images named by their ids.

Confidence 1 is verified present, 0 verified absent, a fraction between is a machine's.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.listing import File, image_rows, images_only, require_folder, stem, walk
from mlimg_build.sources.lists import confidences, read_table, require_file
from mlimg_build.sources.protocol import LABELS, Batch, Category, Notes, record
from mlimg_build.spec import OpenImagesSource

__all__ = ["OpenImages", "class_descriptions"]

FILES_PER_BATCH = 65_536


class OpenImages:
    """The labels of the CSVs; an image that they name and the folder lacks keeps its row as missing."""

    complete = False

    def __init__(self, name: str, part: OpenImagesSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = tuple(part.labels)
        rights = (part.rights,) if part.rights else ()
        self.files: tuple[Path, ...] = (*self.lists, part.classes, *rights)

    def categories(self) -> Iterator[Category]:
        """The classes of the descriptions, whether or not a label uses them."""
        for key, name in class_descriptions(self.part.classes, f"the class descriptions of source {self.name}"):
            yield Category(key, name)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """First the files of the folder, then the labels."""
        require_folder(self.part.images, f"the image folder of source {self.name}")
        for path in self.files:
            require_file(path, f"a list of source {self.name}")
        yield from self._images(notes)
        for i, path in enumerate(self.lists):
            what = f"a label list of source {self.name}"
            for batch, numbers in read_table(path, what, notes, ["ImageID", "LabelName", "Confidence"]):
                values, good = confidences(batch.column("Confidence"), numbers, path.name, notes)
                columns = [batch.column("ImageID"), batch.column("LabelName"), pa.array(values), pa.array(record(i, numbers))]
                yield Batch(None, pa.record_batch(columns, schema=LABELS).filter(pa.array(good)))

    def _images(self, notes: Notes) -> Iterator[Batch]:
        rights = self._rights(notes)
        seen: set[str] = set()
        files = self._first_of_each(notes, seen)
        while listed := list(islice(files, FILES_PER_BATCH)):
            names = [_image_id(file.path) for file in listed]
            batch = image_rows(names, listed, self.part.licence, self.part.author)
            if rights is not None:
                batch = self._with_rights(batch, rights)
            yield Batch(batch, None)

    def _first_of_each(self, notes: Notes, seen: set[str]) -> Iterator[File]:
        for file in images_only(walk(self.part.images), notes):
            key = _image_id(file.path)
            if key in seen:
                notes.add("image-twice", file.path)
                continue
            seen.add(key)
            yield file

    def _rights(self, notes: Notes) -> pa.Table | None:
        if self.part.rights is None:
            return None
        what = f"the rights of source {self.name}"
        columns = ["ImageID", "License", "Author"]
        batches = [batch for batch, _ in read_table(self.part.rights, what, notes, columns)]
        return pa.Table.from_batches(batches)

    def _with_rights(self, batch: pa.RecordBatch, rights: pa.Table) -> pa.RecordBatch:
        where = pc.index_in(batch.column("name"), value_set=rights.column("ImageID"))
        for field, column in (("licence", "License"), ("author", "Author")):
            found = rights.column(column).combine_chunks().take(where)
            batch = batch.set_column(
                batch.schema.get_field_index(field), batch.schema.field(field), pc.coalesce(found, batch.column(field))
            )
        return batch


def class_descriptions(path: Path, what: str) -> list[tuple[str, str]]:
    """The `(id, name)` rows of a class description CSV, with or without the header `LabelName,DisplayName`."""
    require_file(path, what)
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
        rows = [row for row in csv.reader(stream) if row]
    if rows and rows[0][:1] == ["LabelName"]:
        rows = rows[1:]
    short = [i for i, row in enumerate(rows, start=1) if len(row) < 2]
    if short or not rows:
        raise SourceError(
            Problem(
                "descriptions-unreadable",
                f"{what}: row {short[0]} has no name: {path}" if short else f"{what} names no class: {path}",
                hint="expected rows of LabelName,DisplayName",
            )
        )
    return [(row[0].strip(), row[1].strip()) for row in rows]


def _image_id(path: str) -> str:
    return stem(path).rsplit("/", 1)[-1]
