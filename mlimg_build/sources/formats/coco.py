"""The format `coco`: COCO's JSON of instances, and LVIS's, as labels of whole images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from mlimg_build.label_states import ABSENT
from mlimg_build.sources.coco.absences import Absences
from mlimg_build.sources.coco.document import Document, read_document, together
from mlimg_build.sources.coco.image_rows import ImageRows
from mlimg_build.sources.coco.statements import StatementReader, Statements
from mlimg_build.sources.image_files import require_folder, walk
from mlimg_build.sources.image_paths import ImagePaths
from mlimg_build.sources.lists.line_blocks import require_file
from mlimg_build.sources.protocol import LABELS, Batch, Category, File, Notes, entry_record
from mlimg_build.spec import CocoSource

__all__ = ["Coco"]


class Coco:
    """Files of images, annotations and categories; each is read twice, and never held whole.

    An annotation, of whatever shape and of crowds too, says that its category is present in its image. No annotation
    says nothing, unless the source is exhaustive.
    """

    complete = False
    lists_name_images = True

    def __init__(self, name: str, part: CocoSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = tuple(part.annotations)
        self.files: tuple[Path, ...] = self.lists
        self._read: tuple[tuple[object, ...], list[Document]] | None = None

    def categories(self) -> Iterator[Category]:
        """Yield the categories of all files, by number. Raises `SourceError` if an id has two names."""
        yield from together(self._documents()).values()

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the image folder, if there is one; files that no JSON lists can so be reported."""
        return iter(()) if self.root is None else walk(self.root, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield the images and the labels of each file, then what an exhaustive source denies."""
        if self.root is not None:
            require_folder(self.root, f"the image folder of source {self.name}")
        documents = self._documents()
        keys = [*together(documents)]
        absences = Absences(documents, keys) if self.part.exhaustive else None
        places = ImageRows(self.root, self.part.licence, self.part.author, notes)
        for number, document in enumerate(documents):
            notes.merge(document.flaws)
            for part in StatementReader(document, number, self._what, notes).parts():
                if part.images:
                    yield Batch(places.of(part.images, document.licences, document.path.name), None)
                if absences is not None:
                    absences.mark(number, *part.present)
                yield Batch(None, _labels(document, part.statements))
        while absences is not None:
            for denied in absences.denied():
                document, n = documents[denied.document], len(denied.rows)
                numbers = document.images.number[denied.rows]
                records = entry_record(denied.document, numbers, of_images=True)
                states, confidences = np.full(n, ABSENT, np.int8), np.ones(n)
                stated = Statements(denied.rows, denied.categories, states, confidences, records)
                yield Batch(None, _labels(document, stated))
            if not absences.advance():
                break
            for number, document in enumerate(documents):
                for part in StatementReader(document, number, self._what, Notes()).parts():
                    absences.mark(number, *part.present)

    @property
    def _what(self) -> str:
        return f"the annotations of source {self.name}"

    def _documents(self) -> list[Document]:
        """Return what each file says besides its annotations; they are read again if a file changed."""
        for path in self.lists:
            require_file(path, self._what)
        times = tuple(
            (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in map(Path.stat, self.lists)
        )
        if self._read is None or self._read[0] != times:
            paths = ImagePaths(self.root)
            self._read = times, [read_document(path, self._what, paths) for path in self.lists]
        return self._read[1]


def _labels(document: Document, said: Statements) -> pa.RecordBatch:
    """Return rows of `LABELS`, with the names and the categories as dictionaries."""
    used, at = np.unique(said.rows, return_inverse=True)
    names = document.images.name.take(pa.array(used)).cast(pa.string())
    categories = pa.array([*document.categories], pa.string())
    return pa.record_batch(
        [
            pa.DictionaryArray.from_arrays(pa.array(at.astype(np.int32)), names),
            pa.DictionaryArray.from_arrays(pa.array(said.categories.astype(np.int32)), categories),
            pa.array(said.states),
            pa.array(said.confidences),
            pa.array(said.records),
        ],
        names=LABELS.names,
    )
