"""The format `table`: a CSV or Parquet table of images and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.sources.image_files import require_folder, walk
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.image_paths import ImagePaths
from mlimg_build.sources.image_splits import LEFT_OUT, ImageSplits
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.confidences import Speakers, confidences, stated
from mlimg_build.sources.lists.delimited import filled, read_table, table_header, without_words
from mlimg_build.sources.lists.parquet import parquet_header, read_parquet
from mlimg_build.sources.lists.separators import SeparatorCheck
from mlimg_build.sources.lists.text_sizes import name_limits, pieces, text_sizes, within
from mlimg_build.sources.one_hot.label_columns import label_columns
from mlimg_build.sources.one_hot.one_hot_labels import OneHotLabels
from mlimg_build.sources.protocol import DRAWN, LABELS, Batch, Category, File, Notes, record
from mlimg_build.spec import TableSource
from mlimg_build.text_limits import NAME, PATH, RIGHTS

__all__ = ["Table"]

PIECE, ROW = 4 << 20, 64  # bytes of labels that are split at a time, and of a row besides them


class Table:
    """One or several rows per image: its path, labels, and optionally confidence, speaker, licence and author."""

    complete = False
    lists_name_images = True

    def __init__(self, name: str, part: TableSource) -> None:
        self.name = name
        self.part = part
        self.root: Path | None = part.images
        self.lists: tuple[Path, ...] = (part.table,)
        self.files: tuple[Path, ...] = (part.table, *([part.classes] if part.classes else []))

    def categories(self) -> Iterator[Category]:
        """Yield the categories of the file `classes`, if it is given; others are known only from the labels."""
        if self.part.classes:
            what = f"the class names of source {self.name}"
            yield from (Category(key, name) for key, name in class_descriptions(self.part.classes, what))

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield every file of the image folder, if there is one; files that the table lacks can so be reported."""
        return iter(()) if self.root is None else walk(self.root, notes=notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield batches of rows; rows without an image are noted and left out."""
        if self.part.images is not None:
            require_folder(self.part.images, f"the image folder of source {self.name}")
        archive = Archive(self.part.images, notes)
        columns, one_hot = self.part.columns, self._one_hot(notes)
        people = self.part.people if columns.source or self.part.values != "scores" else ()
        speakers = Speakers(people, self.part.table.name, notes)
        splits = ImageSplits(self.name, self.part.splits, notes)
        separators = SeparatorCheck(self.part.separator, self.part.table.name, notes)
        for batch, numbers in self._rows(notes, one_hot):
            named = filled(
                self._named(batch),
                numbers,
                self.part.table.name,
                notes,
                "row-without-image",
            )
            rows, lines = batch.filter(pa.array(named)), numbers[named]
            if columns.split is not None:
                code = splits.of(without_words(pc.utf8_trim_whitespace(rows.column(columns.split))))
                inside = code != LEFT_OUT
                rows, lines, code = rows.filter(pa.array(inside)), lines[inside], code[inside]
            else:
                code = np.full(len(rows), DRAWN, np.int8)
            for part in self._parts(rows, one_hot):
                piece = rows.slice(part.start, part.stop - part.start)
                images, piece, at, own = self._images(piece, lines[part], code[part], archive, notes)
                if one_hot is not None:
                    said_by = piece.column(columns.source) if columns.source else None
                    labels = one_hot.labels(piece, at, images.column("name"), said_by, speakers)
                else:
                    separators.look(piece.column(columns.labels), at)
                    labels = self._labels(piece, at, images.column("name"), speakers)
                yield Batch(images, labels, own)
        splits.finish()
        speakers.noted()
        separators.finish()
        if one_hot is not None:
            one_hot.finish(self.name, notes)

    def _one_hot(self, notes: Notes) -> OneHotLabels | None:
        """Return the reader of columns of categories, None if the table has one column of labels."""
        part = self.part
        if isinstance(part.columns.labels, str):
            return None
        what = f"the table of source {self.name}"
        if part.table.suffix.lower() == ".parquet":
            header = parquet_header(part.table, what)
        else:
            header = table_header(part.table, what, self._delimiter)
        beside = [*dict.fromkeys(part.columns.beside.values())]
        names = label_columns(part.columns.labels, beside, header, part.table, what, notes)
        return OneHotLabels(names, part.columns.labels, part.values, part.table.name)

    def _parts(self, rows: pa.RecordBatch, one_hot: OneHotLabels | None) -> Iterator[slice]:
        """Yield the slices of a batch that become one batch of labels each."""
        if one_hot is not None:
            return one_hot.parts(len(rows))
        return pieces(text_sizes(rows.column(self.part.columns.labels)) + ROW, PIECE)

    def _rows(
        self, notes: Notes, one_hot: OneHotLabels | None
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        """Yield the columns named in the spec, each once, and the number of each row: its line, in Parquet from 1."""
        columns = self.part.columns
        plain = [columns.image, columns.licence, columns.author, columns.split]
        if one_hot is not None:
            lists: list[str | None] = []
            given = [*plain, columns.source, *one_hot.names]
        else:  # one value a row, even if they are labels, too
            lists = [str(columns.labels), columns.confidence, columns.source]
            given = [*plain, *lists]
            lists = [name for name in lists if name not in plain]
        named = list(dict.fromkeys(name for name in given if name is not None))
        return self._read(named, lists, notes)

    def _read(
        self, named: list[str], lists: list[str | None], notes: Notes
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        path, what, columns = self.part.table, f"the table of source {self.name}", self.part.columns
        most = {str(columns.licence): RIGHTS, str(columns.author): RIGHTS, columns.image: PATH}
        if path.suffix.lower() == ".parquet":
            return read_parquet(path, what, notes, named, lists=lists, most=most)
        return read_table(path, what, notes, named, self._delimiter, most=most)

    @property
    def _delimiter(self) -> str:
        return "\t" if self.part.table.suffix.lower() == ".tsv" else ","

    def column(self, name: str, notes: Notes) -> Iterator[tuple[list[str], pa.Array, np.ndarray]]:
        """Yield image names, their values in another column (trimmed, "" if empty), and row numbers.

        Rows without an image are left out, as in `scan`.
        """
        paths = ImagePaths(self.part.images)
        named = list(dict.fromkeys([self.part.columns.image, name]))
        for batch, numbers in self._read(named, [], notes):
            images = self._named(batch)
            named = pc.not_equal(images, "")
            values = pc.utf8_trim_whitespace(batch.column(name)).filter(named)
            names = [paths.name(path) for path in images.filter(named).to_pylist()]
            yield names, values, numbers[named.to_numpy(zero_copy_only=False)]

    def _named(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the image of each row, trimmed; "" also for words that mean no value, unless a file has that name."""
        images = pc.utf8_trim_whitespace(batch.column(self.part.columns.image))
        root = self.part.images
        return without_words(images, lambda text: root is not None and Path(root, text).is_file())

    def _images(
        self,
        batch: pa.RecordBatch,
        numbers: np.ndarray,
        splits: npt.NDArray[np.int8],
        archive: Archive,
        notes: Notes,
    ) -> tuple[pa.RecordBatch, pa.RecordBatch, np.ndarray, npt.NDArray[np.int8]]:
        """Return the images of rows, and the rows, numbers and splits without those whose texts are too long."""
        columns = self.part.columns
        images = archive.rows(
            pc.utf8_trim_whitespace(batch.column(columns.image)),
            self._given(batch, columns.licence, self.part.licence),
            self._given(batch, columns.author, self.part.author),
        )
        short = np.ones(len(batch), bool)
        for name in ("name", "licence", "author"):
            most = name_limits(images.column(name)) if name == "name" else RIGHTS
            file = self.part.table.name
            short &= within(images.column(name), most, f"the {name} of the image", numbers, file, notes)
        if not short.all():
            images, batch = images.filter(pa.array(short)), batch.filter(pa.array(short))
            numbers, splits = numbers[short], splits[short]
        return images, batch, numbers, splits

    def _labels(
        self, batch: pa.RecordBatch, numbers: np.ndarray, images: pa.Array, speakers: Speakers
    ) -> pa.RecordBatch:
        """Return the labels in one column of rows; `images` are the names of their images."""
        columns, notes, file = self.part.columns, speakers.notes, self.part.table.name
        row, label = self._cells(batch.column(columns.labels))
        filled_in = pc.not_equal(label, "").to_numpy(zero_copy_only=False)
        filled_in &= within(label, NAME, "a label", numbers[row], file, notes)
        values, good = np.ones(len(label)), filled_in
        if columns.confidence is not None:
            flat, good = self._of_labels(batch.column(columns.confidence), row, filled_in, numbers, notes)
            values[good], good[good] = confidences(flat, numbers[row[good]], file, notes)
        said_by = None
        if columns.source is not None:
            said_by, good = self._of_labels(batch.column(columns.source), row, good, numbers, notes)
        weighed = values[good]
        said = speakers.weigh(weighed, said_by, numbers[row[good]])
        values[good], good[good] = weighed, said
        return pa.record_batch(
            [
                pa.DictionaryArray.from_arrays(pa.array(row[good], pa.int32()), images),
                label.filter(pa.array(good)),
                *stated(values[good]),
                pa.array(record(0, numbers[row[good]]), pa.int64()),
            ],
            names=LABELS.names,
        )

    def _cells(self, column: pa.Array) -> tuple[np.ndarray, pa.Array]:
        """Return the row of each value in the cells of a column, and the values, trimmed."""
        cells = column if pa.types.is_list(column.type) else pc.split_pattern(column, self.part.separator)
        values = pc.fill_null(pc.list_flatten(cells), "")
        return pc.list_parent_indices(cells).to_numpy(), pc.utf8_trim_whitespace(values)

    def _of_labels(
        self, column: pa.Array, row: np.ndarray, asked: np.ndarray, numbers: np.ndarray, notes: Notes
    ) -> tuple[pa.Array, np.ndarray]:
        """Return a column's values for the `asked` labels that have one, and bool[labels], True for these.

        A cell has one value for all labels of its row, or one per label with the same separator; others are noted.
        """
        stated, values = self._cells(column)
        counts, wanted = (np.bincount(rows, minlength=len(numbers)) for rows in (stated, row))
        fits = (counts == wanted) | (counts == 1)
        for i in np.flatnonzero(~fits):
            notes.add(
                "confidence-count", f"{self.part.table.name}:{numbers[i]}: {counts[i]} for {wanted[i]} labels"
            )
        starts, firsts = np.cumsum(counts) - counts, np.cumsum(wanted) - wanted
        within = np.where(counts[row] == 1, 0, np.arange(len(row)) - firsts[row])
        good = asked & fits[row]
        return values.take(pa.array((starts[row] + within)[good])), good

    @staticmethod
    def _given(batch: pa.RecordBatch, column: str | None, default: str) -> str | pa.Array:
        if column is None:
            return default
        values = without_words(pc.utf8_trim_whitespace(batch.column(column)))
        return pc.if_else(pc.equal(values, ""), default, values)
