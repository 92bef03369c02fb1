"""A table, CSV or Parquet, of images and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.archive import Archive
from mlimg_build.sources.image_paths import ImagePaths
from mlimg_build.sources.listing import require_folder
from mlimg_build.sources.lists import confidences, filled, read_table
from mlimg_build.sources.parquet import read_parquet
from mlimg_build.sources.protocol import LABELS, Batch, Category, Notes, record
from mlimg_build.spec import TableSource

__all__ = ["Table"]


class Table:
    """One row an image (or several): its path, labels, and where given confidence, licence and author."""

    complete = False
    lists_name_images = True

    def __init__(self, name: str, part: TableSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = (part.table,)
        self.files: tuple[Path, ...] = (part.table,)

    def categories(self) -> Iterator[Category]:
        """None is declared: the categories are the labels that occur."""
        return iter(())

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Batches of rows; a row without an image is noted."""
        require_folder(self.part.images, f"the image folder of source {self.name}")
        archive = Archive(self.part.images, notes)
        for batch, numbers in self._rows(notes):
            named = filled(
                pc.utf8_trim_whitespace(batch.column(self.part.columns.image)),
                numbers,
                self.part.table.name,
                notes,
                "row-without-image",
            )
            yield self._batch(batch.filter(pa.array(named)), numbers[named], archive, notes)

    def _rows(self, notes: Notes) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """The columns that the spec names, each once, and the number of each row: in Parquet from 1."""
        columns = self.part.columns
        given = [columns.image, columns.labels, columns.confidence, columns.licence, columns.author]
        named = list(dict.fromkeys(name for name in given if name is not None))
        return self._read(named, [columns.labels, columns.confidence], notes)

    def _read(
        self, named: list[str], lists: list[str | None], notes: Notes
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        path, what = self.part.table, f"the table of source {self.name}"
        if path.suffix.lower() == ".parquet":
            return read_parquet(path, what, named, lists=lists)
        return read_table(path, what, notes, named, "\t" if path.suffix.lower() == ".tsv" else ",")

    def column(self, name: str, notes: Notes) -> Iterator[tuple[list[str], pa.Array, np.ndarray]]:
        """Yields image names, what a further column says of each (trimmed, "" for nothing), and row numbers."""
        paths = ImagePaths(self.part.images)
        named = list(dict.fromkeys([self.part.columns.image, name]))
        for batch, numbers in self._read(named, [], notes):
            images = pc.utf8_trim_whitespace(batch.column(self.part.columns.image)).to_pylist()
            values = pc.utf8_trim_whitespace(batch.column(name))
            yield [paths.find(path)[0] for path in images], values, numbers

    def _batch(self, batch: pa.RecordBatch, numbers: np.ndarray, archive: Archive, notes: Notes) -> Batch:
        columns = self.part.columns
        images = archive.rows(
            pc.utf8_trim_whitespace(batch.column(columns.image)).to_pylist(),
            self._given(batch, columns.licence, self.part.licence),
            self._given(batch, columns.author, self.part.author),
        )
        row, label = self._cells(batch.column(columns.labels))
        stated = pc.not_equal(label, "").to_numpy(zero_copy_only=False)
        values, good = np.ones(len(label), np.float32), stated
        if columns.confidence is not None:
            where = self._confidence_of(batch.column(columns.confidence), row, numbers, notes)
            good = stated & (where >= 0)
            flat = self._cells(batch.column(columns.confidence))[1].take(pa.array(where[good]))
            values[good], good[good] = confidences(flat, numbers[row[good]], self.part.table.name, notes)
        kept = pa.array(good)
        labels = pa.record_batch(
            [
                images.column("name").take(pa.array(row[good])),
                label.filter(kept),
                pa.array(values[good], pa.float32()),
                pa.array(record(0, numbers[row[good]]), pa.int64()),
            ],
            schema=LABELS,
        )
        return Batch(images, labels)

    def _cells(self, column: pa.Array) -> tuple[np.ndarray, pa.Array]:
        """The values in the cells of a column, trimmed, and the row of each."""
        cells = column if pa.types.is_list(column.type) else pc.split_pattern(column, self.part.separator)
        values = pc.fill_null(pc.list_flatten(cells), "")
        return pc.list_parent_indices(cells).to_numpy(), pc.utf8_trim_whitespace(values)

    def _confidence_of(
        self, column: pa.Array, row: np.ndarray, numbers: np.ndarray, notes: Notes
    ) -> np.ndarray:
        """Which of the flat confidences belongs to each label, -1 for none.

        A cell holds one for all its row's labels, or one each with the same separator.
        """
        stated = self._cells(column)[0]
        counts, wanted = (np.bincount(rows, minlength=len(numbers)) for rows in (stated, row))
        fits = (counts == wanted) | (counts == 1)
        for i in np.flatnonzero(~fits):
            notes.add(
                "confidence-count", f"{self.part.table.name}:{numbers[i]}: {counts[i]} for {wanted[i]} labels"
            )
        starts, firsts = np.cumsum(counts) - counts, np.cumsum(wanted) - wanted
        within = np.where(counts[row] == 1, 0, np.arange(len(row)) - firsts[row])
        return np.where(fits[row], starts[row] + within, -1)

    @staticmethod
    def _given(batch: pa.RecordBatch, column: str | None, default: str) -> str | list[str]:
        if column is None:
            return default
        return [value.strip() or default for value in batch.column(column).to_pylist()]
