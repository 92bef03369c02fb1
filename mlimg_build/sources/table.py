"""A table, CSV or Parquet, of images and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.archive import Archive
from mlimg_build.sources.listing import require_folder
from mlimg_build.sources.lists import confidences, read_table, require_file
from mlimg_build.sources.protocol import LABELS, Batch, Category, Notes, record
from mlimg_build.spec import TableSource

__all__ = ["Table"]


class Table:
    """One row an image (or several): its path, labels, and where given confidence, licence and author."""

    complete = False

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
            image = pc.utf8_trim_whitespace(batch.column(0))
            named = pc.not_equal(image, "").to_numpy(zero_copy_only=False)
            for i in np.flatnonzero(~named):
                notes.add("row-without-image", f"{self.part.table.name}:{numbers[i]}")
            yield self._batch(batch.filter(pa.array(named)), numbers[named], archive, notes)

    def _columns(self) -> list[str]:
        columns = self.part.columns
        named = [columns.image, columns.labels, columns.confidence, columns.licence, columns.author]
        return [name for name in named if name is not None]

    def _rows(self, notes: Notes) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        path, columns, what = self.part.table, self._columns(), f"the table of source {self.name}"
        if path.suffix.lower() != ".parquet":
            yield from read_table(path, what, notes, columns, "\t" if path.suffix.lower() == ".tsv" else ",")
            return
        require_file(path, what)
        try:
            with pq.ParquetFile(path) as file:
                absent = [name for name in columns if name not in file.schema_arrow.names]
                if absent:
                    raise SourceError(
                        Problem(
                            "column-missing",
                            f"{what} has no column {', '.join(absent)}: {path}",
                            hint=f"its columns are {', '.join(file.schema_arrow.names)}",
                        )
                    )
                if file.metadata.num_rows == 0:
                    raise SourceError(Problem("list-empty", f"{what} has no row: {path}", hint="get the file again"))
                first = 1
                for batch in file.iter_batches(columns=columns):
                    numbers = np.arange(first, first + len(batch))
                    first += len(batch)
                    cells = [_as_text(batch.column(name), self.part.separator) for name in columns]
                    yield pa.record_batch(cells, names=columns), numbers
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                Problem("list-unreadable", f"{what} is not a Parquet file that can be read: {path}: {error}", hint="write it again")
            ) from error

    def _batch(self, batch: pa.RecordBatch, numbers: np.ndarray, archive: Archive, notes: Notes) -> Batch:
        columns, separator = self.part.columns, self.part.separator
        names = pc.utf8_trim_whitespace(batch.column(columns.image))
        images = archive.rows(
            names.to_pylist(),
            self._given(batch, columns.licence, self.part.licence),
            self._given(batch, columns.author, self.part.author),
        )
        cells = pc.split_pattern(batch.column(columns.labels), separator)
        row = pc.list_parent_indices(cells).to_numpy()
        label = pc.utf8_trim_whitespace(pc.list_flatten(cells))
        values, good = np.ones(len(label), np.float32), np.ones(len(label), dtype=bool)
        if columns.confidence is not None:
            values, good = self._confidences(batch.column(columns.confidence), cells, row, numbers, notes)
        good &= pc.not_equal(label, "").to_numpy(zero_copy_only=False)
        kept = pa.array(good)
        labels = pa.record_batch(
            [
                names.take(pa.array(row)).filter(kept),
                label.filter(kept),
                pa.array(values, pa.float32()).filter(kept),
                pa.array(record(0, numbers[row]), pa.int64()).filter(kept),
            ],
            schema=LABELS,
        )
        return Batch(images, labels)

    def _confidences(
        self, column: pa.Array, cells: pa.Array, row: np.ndarray, numbers: np.ndarray, notes: Notes
    ) -> tuple[np.ndarray, np.ndarray]:
        """One confidence a label: a cell holds one for all its row's labels, or one each with the same separator."""
        stated = pc.split_pattern(column, self.part.separator)
        counts, wanted = pc.list_value_length(stated).to_numpy(), pc.list_value_length(cells).to_numpy()
        fits = (counts == wanted) | (counts == 1)
        for i in np.flatnonzero(~fits):
            notes.add("confidence-count", f"{self.part.table.name}:{numbers[i]}: {counts[i]} for {wanted[i]} labels")
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.arange(len(row)) - np.concatenate([[0], np.cumsum(wanted)[:-1]])[row]
        where = starts[row] + np.where(counts[row] == wanted[row], within, 0)
        flat = pc.list_flatten(stated)
        where = np.minimum(where, max(len(flat) - 1, 0))
        values, good = confidences(flat.take(pa.array(where)), numbers[row], self.part.table.name, notes)
        return values, good & fits[row]

    @staticmethod
    def _given(batch: pa.RecordBatch, column: str | None, default: str) -> str | list[str]:
        if column is None:
            return default
        return [value.strip() or default for value in batch.column(column).to_pylist()]


def _as_text(column: pa.Array, separator: str) -> pa.Array:
    """A Parquet column as text: numbers are written out, lists are joined."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        joined = [separator.join(str(value) for value in cell or ()) for cell in column.to_pylist()]
        return pa.array(joined, pa.string())
    return pc.fill_null(column.cast(pa.string()), "")
