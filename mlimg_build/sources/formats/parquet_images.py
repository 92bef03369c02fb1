"""The format `parquet`: Parquet files whose rows hold an image's bytes and its labels, as Hugging Face's do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlimg_build.errors import Problem, SourceError
from mlimg_build.regular_files import open_regular
from mlimg_build.sources.embedded.column_cells import text_of_rows
from mlimg_build.sources.embedded.file_splits import splits_of_files
from mlimg_build.sources.embedded.image_pages import ImageRows, RowQueue, locate_rows
from mlimg_build.sources.embedded.image_schema import ImageSchema, read_schema
from mlimg_build.sources.embedded.parquet_files import base_names, every_file, parquet_files, root_of
from mlimg_build.sources.embedded.row_labels import RowLabels
from mlimg_build.sources.embedded.row_names import RowNames
from mlimg_build.sources.image_locations import Archive
from mlimg_build.sources.image_splits import LEFT_OUT, ImageSplits
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.delimited import without_words
from mlimg_build.sources.lists.line_blocks import require_file, unreadable
from mlimg_build.sources.lists.parquet_batches import TooLargeError, bounded_batches
from mlimg_build.sources.lists.parquet_footer import read_chunks
from mlimg_build.sources.protocol import DRAWN, IMAGES, NOT_INSIDE, WHOLE_FILE, Batch, Category, File, Notes
from mlimg_build.sources.read_errors import is_of_one_file, lost
from mlimg_build.spec import ParquetSource
from mlimg_build.text_limits import ID, NAME, PATH, RIGHTS, over

__all__ = ["ParquetImages"]

AGAIN = (
    "write it again: pq.write_table(pq.read_table(OLD), NEW, row_group_size=100, compression='none', "
    "use_dictionary=False)"
)


class ParquetImages:
    """One row per image. The bytes stay where they are: an image is a value of a page, which is found by its header."""

    complete = False
    lists_name_images = True
    scanned_with = ("split",)  # without it the names of files have to tell theirs

    def __init__(self, name: str, part: ParquetSource) -> None:
        self.name = name
        self.part = part
        self.files: tuple[Path, ...] = (part.classes,) if part.classes else ()
        self._what = f"a Parquet file of source {name}"

    @property
    def root(self) -> Path | None:
        """The folder of the files: `images` itself, or that of the file, or the one in which a pattern begins."""
        return root_of(self.part.images)

    @property
    def lists(self) -> tuple[Path, ...]:
        """The Parquet files; they are listed each time."""
        return tuple(root_of(self.part.images) / file.path for file in self._files(Notes()))

    def categories(self) -> Iterator[Category]:
        """Yield the categories of the file `classes`, or else those that the files themselves name."""
        if self.part.classes:
            what = f"the class names of source {self.name}"
            yield from (Category(key, name) for key, name in class_descriptions(self.part.classes, what))
            return
        seen = set[str]()
        for file in self._files(Notes()):
            for name in self._schema(file).names or ():
                key = name.strip()
                if key and key not in seen:
                    seen.add(key)
                    yield Category(key, key.replace("_", " "))

    def listing(self, notes: Notes) -> Iterator[File]:
        """Yield the Parquet files; every file if `images` is a folder, as rows without bytes may name them."""
        return every_file(self.part.images, notes)

    def scan(self, notes: Notes) -> Iterator[Batch]:
        """Yield the rows of one file after the other, in batches.

        Raises:
            SourceError: if a file cannot be read or lacks a column, if two files differ in their labels, and as
                `splits_of_files` does.
        """
        files = self._files(notes)
        splits = ImageSplits(self.name, self.part.splits, notes)
        by_file = [DRAWN] * len(files)
        if self.part.columns.split is None and self.part.split == "auto":
            by_file = splits_of_files(self.name, [file.path for file in files], self.part.splits)
        names = RowNames(self.name, [file.path for file in files])
        root = root_of(self.part.images)
        archive = Archive(root if self.part.images == root else None, notes)
        first: tuple[File, ImageSchema] | None = None
        for number, (file, base, split) in enumerate(zip(files, base_names(files), by_file, strict=True)):
            schema = self._schema(file)
            if split == LEFT_OUT:
                notes.add("split-left-out", file.path, schema.rows)
                continue
            first = first or (file, schema)
            self._require_alike(*first, file, schema, notes)
            if why := over(f"{base}/{schema.rows}", ID):
                raise unreadable(root / file.path, self._what, f"its path has {why}", "shorten it")
            labels = RowLabels(number, file.path, schema, bool(self.part.classes), notes)
            reading = _Reading(self.part, number, file, base, schema, split, notes)
            yield from reading.batches(root / file.path, self._what, labels, names, splits, archive)
        splits.finish()
        names.finish()

    def column(self, name: str, notes: Notes) -> Iterator[tuple[list[str], pa.Array, npt.NDArray[np.int64]]]:
        """Yield image names, their values in another column (trimmed, "" if empty), and row numbers from 1.

        Raises:
            SourceError: if a file cannot be read, lacks the column, or has no single text or whole number a row there.
        """
        files = self._files(notes)
        for number, (file, base) in enumerate(zip(files, base_names(files), strict=True)):
            path = root_of(self.part.images) / file.path
            require_file(path, self._what, parquet=True)
            schema = read_schema(path, self._what, self.part.columns, group=name)
            reading = _Reading(self.part, number, file, base, schema, DRAWN, notes)
            yield from reading.groups(path, self._what)

    def _files(self, notes: Notes) -> list[File]:
        return parquet_files(self.name, self.part.images, notes)

    def _schema(self, file: File) -> ImageSchema:
        path = root_of(self.part.images) / file.path
        require_file(path, self._what, parquet=True)
        schema = read_schema(path, self._what, self.part.columns)
        if self.part.classes is None:
            _require_distinct(schema.names or (), path, self._what)
        return schema

    def _require_alike(
        self, one: File, first: ImageSchema, other: File, schema: ImageSchema, notes: Notes
    ) -> None:
        """Raise `SourceError` if labels are numbers here and texts there, or have names here only.

        That a number is another class in each is noted: readers that take the names of the first file for all differ.
        """
        told = [(each.kind, each.names is not None) for each in (first, schema)]
        if told[0] == told[1]:
            pairs = zip_longest(first.names or (), schema.names or (), fillvalue="nothing")
            for number, (name, here) in enumerate(pairs):
                if name != here:
                    notes.add("names-differ", f"{other.path}: {number} is {here}, in {one.path} {name}")
                    break
            return
        words = [
            f"{kind}s{' with names' if named else ' without names' * (kind == 'number')}"
            for kind, named in told
        ]
        message = (
            f"source {self.name}: the labels are {words[0]} in {one.path} and {words[1]} in {other.path}"
        )
        hint = (
            "write them alike, or make two sources of them with a pattern each: images: data/train-*.parquet"
        )
        raise SourceError(Problem("columns-differ", message, hint=hint))


class _Reading:
    """One file that is read."""

    def __init__(
        self,
        part: ParquetSource,
        number: int,
        file: File,
        base: str,
        schema: ImageSchema,
        split: int,
        notes: Notes,
    ) -> None:
        self.part, self.number, self.file, self.base = part, number, file, base
        self.schema, self.split, self.notes = schema, split, notes

    def batches(
        self,
        path: Path,
        what: str,
        labels: RowLabels,
        names: RowNames,
        splits: ImageSplits,
        archive: Archive,
    ) -> Iterator[Batch]:
        """Yield the rows of the file, at `path`."""
        schema, done = self.schema, 0
        columns = [schema.labels, *schema.others.values(), *([schema.path] if schema.path else [])]
        leaves = list(dict.fromkeys(column.leaf for column in columns))
        with _errors(path, what):
            descriptor = open_regular(path)
            try:
                status = os.fstat(descriptor)
                queue = RowQueue(self._row_groups(descriptor, status.st_size))
                for batch in bounded_batches(path, leaves):
                    rows = queue.take(len(batch))
                    numbers = np.arange(done + 1, done + 1 + len(batch))
                    done += len(batch)
                    images, inside = self._images(batch, rows, numbers, status, archive, names)
                    code = self._splits(batch, numbers, splits)
                    kept = np.full(len(batch), True) if code is None else code != LEFT_OUT
                    said = labels.of(batch, numbers, images.column("name"), kept)
                    if not kept.all():
                        images, inside = images.filter(pa.array(kept)), inside[kept]
                        code = None if code is None else code[kept]
                    yield Batch(images, said, code, inside)
            finally:
                os.close(descriptor)
        labels.finish()

    def groups(self, path: Path, what: str) -> Iterator[tuple[list[str], pa.Array, npt.NDArray[np.int64]]]:
        """Yield the names of the images, their groups and their row numbers."""
        used = [column for field, column in self.schema.others.items() if field in ("name", "group")]
        done = 0
        with _errors(path, what):
            for batch in bounded_batches(path, list(dict.fromkeys(column.leaf for column in used))):
                numbers = np.arange(done + 1, done + 1 + len(batch))
                done += len(batch)
                names, _ = self._names(batch, numbers)
                flaws = Notes()
                what_of = "the group of the image"
                groups = text_of_rows(
                    batch, self.schema.others["group"], NAME, what_of, numbers, self.file.path, flaws
                )
                if flaws.counts:
                    example = flaws.examples[flaws.counts.most_common(1)[0][0]][0]
                    hint = "correct them: their images would leave their groups"
                    raise unreadable(path, what, f"groups that cannot be read, such as {example}", hint)
                yield names.to_pylist(), groups, numbers

    def _row_groups(self, descriptor: int, size: int) -> Iterator[ImageRows]:
        for group in read_chunks(descriptor):
            yield locate_rows(descriptor, size, group[self.schema.number], self.schema.level)

    def _images(
        self,
        batch: pa.RecordBatch,
        rows: ImageRows,
        numbers: npt.NDArray[np.int64],
        status: os.stat_result,
        archive: Archive,
        names: RowNames,
    ) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
        """Return the images of a batch and their `inside`; a row without bytes is looked for by its path."""
        n = len(batch)
        own, named = self._names(batch, numbers)
        if named:
            names.add(own, self.number, numbers)
        null = pa.array(rows.null)
        columns: dict[str, pa.Array] = {
            "name": own,
            "path": pa.repeat(self.file.path, n),
            "offset": pa.array(rows.offset),
            "size": pa.array(rows.size),
            "status": pa.repeat("", n),
            "licence": self._given(batch, "licence", self.part.licence, numbers),
            "author": self._given(batch, "author", self.part.author, numbers),
            "mtime": pa.repeat(pa.scalar(status.st_mtime_ns, pa.int64()), n),
            "ctime": pa.repeat(pa.scalar(status.st_ctime_ns, pa.int64()), n),
        }
        if rows.null.any():
            for field, values in self._by_path(batch, rows.null, numbers, archive).items():
                columns[field] = pc.replace_with_mask(columns[field], null, values)
        inside = np.where(rows.null, NOT_INSIDE, rows.inside)
        return pa.record_batch([columns[field.name] for field in IMAGES], schema=IMAGES), inside

    def _names(self, batch: pa.RecordBatch, numbers: npt.NDArray[np.int64]) -> tuple[pa.Array, bool]:
        """Return the names of the images of a batch, and whether a column has them."""
        own = pc.binary_join_element_wise(self.base, pa.array(numbers).cast(pa.string()), "/")
        named = self._text(batch, "name", ID, numbers)
        return (own, False) if named is None else (pc.if_else(pc.equal(named, ""), own, named), True)

    def _by_path(
        self,
        batch: pa.RecordBatch,
        null: npt.NDArray[np.bool_],
        numbers: npt.NDArray[np.int64],
        archive: Archive,
    ) -> dict[str, pa.Array]:
        """Return the columns of `IMAGES` for the rows without bytes: files below the folder, or missing."""
        texts = pa.repeat("", len(batch))
        if self.schema.path is not None:
            what = "the path of the image"
            column, file = self.schema.path, self.file.path
            texts = text_of_rows(batch, column, PATH, what, numbers, file, self.notes)
        at = np.flatnonzero(null)
        found: dict[str, list[object]] = {
            "path": [],
            "offset": [],
            "size": [],
            "status": [],
            "mtime": [],
            "ctime": [],
        }
        for i, text in zip(at.tolist(), texts.take(pa.array(at)).to_pylist(), strict=True):
            where = f"{self.file.path}:{numbers[i]}"
            place = archive.find(text)[1] if text else None
            if place is None or archive.root is None or over(place.path, PATH):
                told = (
                    "it names no file, either"
                    if place is None
                    else "its file is looked for only where `images` is a folder"
                )
                self.notes.add("row-without-bytes", f"{where}: {told}")
                values: Sequence[object] = (f"{self.file.path}/{numbers[i]}", WHOLE_FILE, -1, "missing", 0, 0)
            else:
                self.notes.add("row-without-bytes", f"{where}: {text}")
                values = (place.path, place.offset, place.size, place.status, place.mtime, place.ctime)
            for name, value in zip(found, values, strict=True):
                found[name].append(value)
        return {name: pa.array(values, IMAGES.field(name).type) for name, values in found.items()}

    def _splits(
        self, batch: pa.RecordBatch, numbers: npt.NDArray[np.int64], splits: ImageSplits
    ) -> npt.NDArray[np.int8] | None:
        text = self._text(batch, "split", ID, numbers)
        if text is not None:
            return splits.of(without_words(text))
        return None if self.split == DRAWN else np.full(len(batch), self.split, np.int8)

    def _given(
        self, batch: pa.RecordBatch, field: str, default: str, numbers: npt.NDArray[np.int64]
    ) -> pa.Array:
        text = self._text(batch, field, RIGHTS, numbers)
        if text is None:
            return pa.repeat(default, len(batch))
        values = without_words(text)
        return pc.if_else(pc.equal(values, ""), default, values)

    def _text(
        self, batch: pa.RecordBatch, field: str, most: int, numbers: npt.NDArray[np.int64]
    ) -> pa.Array | None:
        column = self.schema.others.get(field)
        if column is None:
            return None
        return text_of_rows(
            batch, column, most, f"the {field} of the image", numbers, self.file.path, self.notes
        )


def _require_distinct(names: Sequence[str], path: Path, what: str) -> None:
    """Raise `SourceError` if two labels have one name: they would become one category, as ImageNet's two cranes."""
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if (first := seen.setdefault(name.strip(), number)) != number and name.strip():
            why = f"its labels {first} and {number} are both named {name.strip()}"
            hint = "name the labels by their numbers: `classes: FILE`, a CSV of number and name"
            raise unreadable(path, what, why, hint)


@contextmanager
def _errors(path: Path, what: str) -> Iterator[None]:
    """Turn what a damaged file raises into `SourceError`."""
    try:
        yield
    except SourceError:
        raise
    except TooLargeError as error:
        why = f"it needs more memory than is given to it: {error}"
        raise unreadable(path, what, why, AGAIN) from error
    except (pa.ArrowException, ValueError, MemoryError) as error:
        raise unreadable(path, what, f"not a Parquet file in order: {error}", AGAIN) from error
    except OSError as error:
        if error.errno is not None and not is_of_one_file(error):
            raise lost(path, error) from error
        raise unreadable(path, what, f"not a Parquet file in order: {error}", AGAIN) from error
