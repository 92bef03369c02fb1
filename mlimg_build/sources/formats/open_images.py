"""The format `open_images`: CSVs of `ImageID,Source,LabelName,Confidence`, and images named by their ids.

They lie in a folder, or at the URLs of the CSV of rights (`OriginalURL`, `Thumbnail300KURL`).

A person's confidence of 1 means verified present, 0 verified absent; values between are a machine's. If `Source` names
a machine, its 1 is lowered to just below 1 and its 0 is no statement.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_files import image_rows, images_only, require_folder, walk, watched
from mlimg_build.sources.image_ids import image_id, image_ids
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.confidences import Speakers, confidences, stated
from mlimg_build.sources.lists.delimited import filled, read_table, without_words
from mlimg_build.sources.lists.line_blocks import require_file
from mlimg_build.sources.lists.rights import Rights, read_rights
from mlimg_build.sources.lists.text_sizes import within
from mlimg_build.sources.protocol import IMAGES, LABELS, Batch, Category, File, Notes, record
from mlimg_build.spec import OpenImagesSource
from mlimg_build.text_limits import ID, NAME, URL

__all__ = ["OpenImages"]

FILES_PER_BATCH = 65_536


class OpenImages:
    """The labels of the CSVs; an image that they name but the folder lacks keeps its row, as missing."""

    complete = False
    lists_name_images = False

    def __init__(self, name: str, part: OpenImagesSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = tuple(part.labels)
        others = (path for path in (part.hierarchy, part.rights) if path)
        self.files: tuple[Path, ...] = (*self.lists, part.classes, *others)

    def categories(self) -> Iterator[Category]:
        """Yield the classes of the descriptions, whether or not a label uses them."""
        what = f"the class descriptions of source {self.name}"
        for key, name in class_descriptions(self.part.classes, what):
            yield Category(key, name)

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the folder."""
        return iter(()) if self.root is None else walk(self.root, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield the files of the folder, the images at URLs that it does not have, then the labels.

        An `ImageID` that is a path (`train/0a1b.jpg`) is reduced to its id, as file names are, without folder and
        suffix, unless an image has exactly that id.
        """
        if self.root is not None:
            require_folder(self.root, f"the image folder of source {self.name}")
        for path in self.files:
            require_file(path, f"a list of source {self.name}")
        known: set[str] = set()
        yield from self._images(notes, known)
        for i, path in enumerate(self.lists):
            yield from self._labels(i, path, notes, known)

    def _labels(self, i: int, path: Path, notes: Notes, known: Container[str]) -> Iterator[Batch]:
        what = f"a label list of source {self.name}"
        speakers = Speakers(self.part.people, path.name, notes)
        named = ["ImageID", "LabelName", "Confidence"]
        for batch, numbers in read_table(path, what, notes, named, optional=["Source"]):
            image, category = (
                pc.utf8_trim_whitespace(batch.column(name)) for name in ("ImageID", "LabelName")
            )
            values, good = confidences(batch.column("Confidence"), numbers, path.name, notes)
            said_by = batch.column("Source") if "Source" in batch.schema.names else None
            if said_by is None and self.part.people and "people" in self.part.model_fields_set:
                speakers.lacking("Source")
            good &= speakers.weigh(values, said_by, numbers)
            image = image_ids(without_words(image, known.__contains__), known, notes)
            good &= filled(image, numbers, path.name, notes, "row-without-image")
            good &= filled(category, numbers, path.name, notes, "row-without-label")
            good &= within(image, ID, "ImageID", numbers, path.name, notes)
            good &= within(category, NAME, "LabelName", numbers, path.name, notes)
            columns = [image, category, *stated(values), pa.array(record(i, numbers))]
            yield Batch(None, pa.record_batch(columns, schema=LABELS).filter(pa.array(good)))
        speakers.noted()

    def _images(self, notes: Notes, known: set[str]) -> Iterator[Batch]:
        what, licence, author = f"the rights of source {self.name}", self.part.licence, self.part.author
        rights = read_rights(self.part.rights, what, notes) if self.part.rights else None
        without, example = 0, ""
        files = self._first_of_each(notes, known)
        while listed := list(islice(files, FILES_PER_BATCH)):
            names = [image_id(file.path) for file in listed]
            if rights is None:
                yield Batch(image_rows(names, listed, licence, author), None)
            else:
                lacking = rights.without(names)
                without, example = without + len(lacking), example or next(iter(lacking), "")
                yield Batch(image_rows(names, listed, *rights.of(names, licence, author)), None)
        if 2 * without > len(known):
            notes.add("image-without-rights", example, without)
        if self.part.urls is not None and self.part.rights is not None and rights is not None:
            yield from self._at_urls(self.part.rights, self.part.urls, rights, notes, known)

    def _at_urls(
        self, path: Path, column: str, rights: Rights, notes: Notes, known: set[str]
    ) -> Iterator[Batch]:
        """Yield the images of the CSV of rights that no file shows; the first row of an image counts."""
        what, archive = f"the URLs of source {self.name}", Archive(None, notes)
        for batch, numbers in read_table(path, what, notes, ["ImageID", column]):
            ids = image_ids(without_words(pc.utf8_trim_whitespace(batch.column(0))), (), notes)
            urls = without_words(pc.utf8_trim_whitespace(batch.column(1)))
            good = within(ids, ID, "ImageID", numbers, path.name, notes)
            good &= within(urls, URL, column, numbers, path.name, notes)
            good &= filled(urls, numbers, path.name, notes, "image-without-url")
            at = []
            for i, name in enumerate(ids.to_pylist()):
                if good[i] and name and name not in known:
                    known.add(name)
                    at.append(i)
            chosen = pa.array(at, pa.int64())
            names = ids.take(chosen)
            licences, authors = rights.of(names.to_pylist(), self.part.licence, self.part.author)
            texts = (pa.array(one, pa.string()) for one in (licences, authors))
            rows = archive.rows(urls.take(chosen), *texts)
            yield Batch(rows.set_column(0, IMAGES.field("name"), names), None)

    def _first_of_each(self, notes: Notes, seen: set[str]) -> Iterator[File]:
        if self.root is None:
            return
        for file in images_only(watched(self.listing(notes), notes), self.root, notes):
            key = image_id(file.path)
            if key in seen:
                notes.add("image-twice", file.path)
                continue
            seen.add(key)
            yield file
