"""The columns of a Parquet file with images: where the bytes are, what the labels are, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.embedded.features import class_labels
from mlimg_build.sources.lists.line_blocks import unreadable
from mlimg_build.spec import ParquetColumns, listed, nearest
from mlimg_build.text_limits import NAME, over

__all__ = ["Column", "ImageSchema", "read_schema"]

IN_LISTS = re.compile(r"\.(?:list|bag|array)\.(?:element|item|array_element|array)(?=\.|$)")
DEEPEST_LEVEL = 3  # most levels of definition: structs around the bytes
BYTES, PATH = "bytes", "path"  # fields of a Hugging Face image
SHOWN = 12


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read: the names of it and of fields in it, and its leaf's path in the file."""

    parts: tuple[str, ...]
    leaf: str
    type: pa.DataType  # of a value, where it is a list of one in it


@dataclass(frozen=True, slots=True)
class ImageSchema:
    """The columns of a file. `number` is that of the leaf with the bytes, `level` its definition level.

    `path` is the column of the image's own path, if it has one. `names` are those of the labels by their numbers.
    """

    rows: int
    number: int
    level: int
    path: Column | None
    labels: Column
    kind: Literal["number", "text"]
    names: tuple[str, ...] | None
    others: dict[str, Column]  # by the field of `ParquetColumns`; `group` is the one that was asked for


def read_schema(path: Path, what: str, columns: ParquetColumns, group: str | None = None) -> ImageSchema:
    """Return the columns of a Parquet file; `group` is one more of them, with the group of each image.

    Raises:
        SourceError: `column-missing` with the names that it has, `column-type` if a column cannot be what it is said
            to be, `list-unreadable` if the file is damaged or the names of its labels cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, rows, parts = file.schema_arrow, file.metadata.num_rows, file.schema
            leaves = [parts.column(i) for i in range(file.metadata.num_columns)]
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        why = f"not a Parquet file in order: {error}"
        raise unreadable(
            path, what, why, "a transfer that broke off leaves such a file; get it again"
        ) from error
    look = _Look(path, what, schema, {_plain(leaf.path): (i, leaf) for i, leaf in enumerate(leaves)})
    number, image_path = look.image(columns.image)
    labels = look.value("labels", columns.labels)
    kind = look.kind_of_labels(columns.labels, labels)
    named = {field: getattr(columns, field) for field in ("name", "split", "licence", "author")}
    others = {
        field: look.value(field, name)
        for field, name in {**named, "group": group}.items()
        if name is not None
    }
    for field, column in others.items():
        look.require_text(field, column)
    names = None
    if kind == "number":
        try:
            names = class_labels(schema.metadata, labels.parts)
        except ValueError as error:
            raise unreadable(path, what, f"the names of its labels: {error}", "write it again") from error
        for name in names or ():
            if why := over(name, NAME):
                raise unreadable(path, what, f"the name of a label has {why}", "shorten it")
    level = leaves[number].max_definition_level
    return ImageSchema(rows, number, level, image_path, labels, kind, names, others)


@dataclass(frozen=True, slots=True)
class _Look:
    """A file in which columns are looked up; `leaves` are its leaves by their paths without the parts of lists."""

    path: Path
    what: str
    schema: pa.Schema
    leaves: dict[str, tuple[int, Any]]

    def image(self, name: str) -> tuple[int, Column | None]:
        """Return the number of the leaf with the bytes of the images, and the column of their paths, if any."""
        kind = self._type(self._parts(name))
        if kind is None:
            raise self._missing("image", name)
        inner, hint = name, ""
        if pa.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0:
            inner, kind = f"{name}.{BYTES}", kind.field(BYTES).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if _is_list(kind):
            hint = "write one row for each image"
        elif _is_text(kind):
            hint = "a table of paths is a source of `type: table`; text that holds an image is not read"
        if not _is_binary(kind) or inner not in self.leaves:
            raise self._wrong(name, kind, "bytes of images", hint or self._images_hint())
        number, leaf = self.leaves[inner]
        if leaf.max_repetition_level or leaf.max_definition_level > DEEPEST_LEVEL:
            raise self._wrong(
                name, kind, "bytes of images", "write it as a column of its own, one image a row"
            )
        beside = f"{name}.{PATH}"
        text = self._type(self._parts(beside))
        if inner == name or beside not in self.leaves or text is None or not _is_text(text):
            return number, None
        return number, Column(self._parts(beside), self.leaves[beside][1].path, text)

    def value(self, field: str, name: str) -> Column:
        """Return a column of single values, or of lists of them."""
        parts = self._parts(name)
        kind = self._type(parts)
        if kind is None:
            raise self._missing(field, name)
        while _is_list(kind):
            kind = kind.value_type
        if name not in self.leaves:
            fields = [path for path in self.leaves if path.startswith(f"{name}.")]
            hint = f"name a field of it: {listed(fields[:SHOWN], 'or')}" if fields else ""
            raise self._wrong(name, kind, "a value", hint)
        return Column(parts, self.leaves[name][1].path, kind)

    def kind_of_labels(self, name: str, column: Column) -> Literal["number", "text"]:
        """Return whether labels are numbers of classes or texts."""
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_integer(kind):
            return "number"
        if _is_text(kind):
            return "text"
        raise self._wrong(name, kind, "labels", "labels are texts, or whole numbers that have names")

    def require_text(self, field: str, column: Column) -> None:
        """Raise `SourceError` unless a column is one text or whole number a row."""
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        in_list = self.leaves[".".join(column.parts)][1].max_repetition_level
        if in_list or not (_is_text(kind) or pa.types.is_integer(kind)):
            shown = f"a list of {kind}" if in_list else kind
            raise self._wrong(".".join(column.parts), shown, f"the {field}", "it is one text a row")

    def _parts(self, name: str) -> tuple[str, ...]:
        return (name,) if name in self.schema.names else tuple(name.split("."))

    def _type(self, parts: Sequence[str]) -> pa.DataType | None:
        if self.schema.names.count(parts[0]) != 1:
            return None
        kind = self.schema.field(parts[0]).type
        for part in parts[1:]:
            while _is_list(kind):
                kind = kind.value_type
            if not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                return None
            kind = kind.field(part).type
        return kind

    def _images_hint(self) -> str:
        """Return the hint that names the columns that may hold images, if there are any."""
        found = [
            name
            for name in self.schema.names
            if self.schema.names.count(name) == 1
            for kind in [self.schema.field(name).type]
            if _is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0)
        ]
        return f"columns: {{image: {found[0]}}} has bytes" if found else "no column of it has bytes"

    def _missing(self, field: str, name: str) -> SourceError:
        near = nearest(name, [*self.schema.names, *self.leaves])
        known = f"its columns are {listed([*self.schema.names][:SHOWN], 'and') or 'none'}"
        told = f'did you mean "{near}"? ' if near else ""
        where = "group: {column: …}" if field == "group" else f"columns: {{{field}: …}}"
        advice = f"; {self._images_hint()}" if field == "image" else f"; name it in `{where}`"
        twice = self.schema.names.count(name) > 1
        message = f"{self.what} has {'the column ' + name + ' twice' if twice else 'no column ' + name}: {self.path}"
        return SourceError(Problem("column-missing", message, hint=f"{told}{known}{advice}"))

    def _wrong(self, name: str, kind: object, wanted: str, hint: str) -> SourceError:
        message = (
            f"{self.what}: column {name} is of type {str(kind)[:100]} and cannot be {wanted}: {self.path}"
        )
        return SourceError(Problem("column-type", message, hint=hint))


def _plain(leaf: str) -> str:
    """Return the path of a leaf without the parts that stand for lists.

    >>> _plain("objects.list.element.category"), _plain("image.bytes")
    ('objects.category', 'image.bytes')
    """
    return IN_LISTS.sub("", leaf)


def _is_list(kind: pa.DataType) -> bool:
    return any(
        asked(kind) for asked in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    )


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    asked = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_text(kind) for is_text in asked)


def _is_binary(kind: pa.DataType) -> bool:
    asked = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(is_bytes(kind) for is_bytes in asked)
