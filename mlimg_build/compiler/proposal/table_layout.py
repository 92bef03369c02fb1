"""Tell which columns of a table are its images, labels, confidences and splits, by their names and first values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.errors import Problem, SourceError
from mlimg_build.labels.mapping.name_kinds import split_of
from mlimg_build.sources.image_files import is_image_name
from mlimg_build.sources.image_paths import is_url
from mlimg_build.sources.lists.delimited import read_table, table_header
from mlimg_build.sources.lists.line_blocks import require_file, unreadable
from mlimg_build.sources.lists.parquet import read_parquet
from mlimg_build.sources.protocol import Notes

__all__ = ["TABLES", "table_layout"]

TABLES = (".csv", ".tsv", ".parquet")
ROWS = 1000  # that are looked at
MOST = 200  # values of a split, with more of which it is none
IMAGE = (
    "image",
    "image_path",
    "path",
    "file",
    "file_name",
    "filename",
    "filepath",
    "img",
    "image_name",
    "image_id",
    "url",
    "id",
)
LABELS = (
    "labels",
    "label",
    "tags",
    "tag",
    "classes",
    "class",
    "class_name",
    "category",
    "categories",
    "species",
    "target",
    "breed",
)
OTHERS = {
    "confidence": ("confidence", "score", "scores", "prob", "probability", "confidences"),
    "split": ("split", "set", "subset", "partition", "part", "fold", "data_set", "dataset"),
    "licence": ("licence", "license"),
    "author": ("author", "photographer", "creator", "rights_holder"),
}
GROUPS = (
    "patient",
    "patient_id",
    "patientid",
    "subject",
    "subject_id",
    "video",
    "video_id",
    "person",
    "site",
    "camera",
)
SEPARATORS = ("|", ";", ",", "/", " ")
TRUTHS = {"0", "1", "0.0", "1.0", "-1", "-1.0", "", "true", "false", "yes", "no"}
UNIT = re.compile(r"0?\.\d+|[01](\.0*)?")


def table_layout(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the keys of a `table` source, or of a `parquet` one whose images lie inside, and remarks.

    Raises:
        SourceError: `layout-unknown` if no column has images or none has labels; it lists the columns.
    """
    if _is_parquet(path) and _holds_bytes(path):
        return {"type": "parquet", "images": path}, ()
    rows = _rows(path)
    image = _image_column(rows)
    if image is None:
        raise _unknown(path, rows, "images: none is called so, and none has names of images")
    roles = {"image": image} | _named(rows, image)
    labels, values, remarks = _labels(path, rows, roles)
    columns = {key: name for key, name in roles.items() if not (key == name and key == "image")}
    keys: dict[str, Any] = {"type": "table", "table": path, "images": _folder(path, rows[image], remarks)}
    keys["columns"] = {**columns, "labels": labels}
    keys |= values
    if "split" in roles:
        placed = {value: split_of(value) for value in sorted(_values(path, roles["split"]) - {""})}
        splits = {
            value: {"train": "train", "validation": "validation"}.get(of or "", "none")
            for value, of in placed.items()
        }
        keys["splits"] = splits
        remarks += [
            f"split {value} is left out: say where it goes" for value, of in splits.items() if of == "none"
        ]
    group = next((name for name in rows if name.lower() in GROUPS), None)
    if group is not None:
        keys["group"] = {"column": group}
        remarks.append(f"the images of one {group} stay in one split")
    return keys, tuple(remarks)


def _rows(path: Path) -> dict[str, list[str]]:
    """Return the first rows of a table as text, by column."""
    if _is_parquet(path):
        with _parquet(path) as file:
            batch = next(file.iter_batches(ROWS), None)
            table = {} if batch is None else batch.to_pydict()
        return {name: [_text(value) for value in values] for name, values in table.items()}
    header = table_header(path, "the table", _delimiter(path))
    columns = list(dict.fromkeys(name for name in header if name))
    batch, _ = next(iter(read_table(path, "the table", Notes(), columns, _delimiter(path))))
    return {name: batch.column(name).slice(0, ROWS).to_pylist() for name in columns}


def _values(path: Path, column: str) -> set[str]:
    """Return the values of a column in all rows: a table is often sorted by its splits."""
    if _is_parquet(path):
        batches = read_parquet(path, "the table", Notes(), [column], [None])
    else:
        batches = read_table(path, "the table", Notes(), [column], _delimiter(path))
    found = set[str]()
    for batch, _ in batches:
        found.update(batch.column(0).unique().to_pylist())
        if len(found) > MOST:
            break
    return found


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() == ".tsv" else ","


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file. Raises `SourceError` if it is no file, or damaged."""
    require_file(path, "the table", parquet=True)
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        why = f"not a Parquet file in order: {error}"
        raise unreadable(path, "the table", why, "get it or write it again") from error


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "|".join(map(str, value))
    return "" if value is None else str(value)


def _holds_bytes(path: Path) -> bool:
    with _parquet(path) as file:
        kinds = [field.type for field in file.schema_arrow]
    return any(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        for kind in kinds
    )


def _image_column(rows: Mapping[str, Sequence[str]]) -> str | None:
    likely = {
        name: sum(is_image_name(value) or is_url(value) for value in values) for name, values in rows.items()
    }
    best = max(likely, key=lambda name: likely[name], default=None)
    if best is not None and 2 * likely[best] > len(rows[best]):
        return best
    return _first(rows, IMAGE)


def _named(rows: Mapping[str, Sequence[str]], image: str) -> dict[str, str]:
    found = {}
    for role, names in OTHERS.items():
        name = _first({key: one for key, one in rows.items() if key != image}, names)
        if name is None or (role == "split" and not any(split_of(value) for value in set(rows[name]))):
            continue
        if role != "confidence" or all(
            UNIT.fullmatch(part) for value in rows[name] for part in re.split(r"[|;,\s]", value) if part
        ):
            found[role] = name
    return found


def _labels(
    path: Path, rows: Mapping[str, Sequence[str]], roles: dict[str, str]
) -> tuple[Any, dict[str, Any], list[str]]:
    """Return the value of `columns.labels`, further keys of the source, and remarks."""
    left = {
        name: values
        for name, values in rows.items()
        if name not in roles.values() and name.lower() not in GROUPS
    }
    truths = [name for name, values in left.items() if {value.strip().lower() for value in values} <= TRUTHS]
    name = _first(left, LABELS)
    if name is not None and (name not in truths or len(truths) == 1):
        separator = _separator(rows[name])
        return name, {"separator": separator} if separator not in ("", "|") else {}, []
    if len(truths) > 1:
        others = [name for name in left if name not in truths]
        remarks = [f"columns that are no category: {', '.join(others)}"] if others else []
        remarks.append("1 is present, 0 is absent, an empty cell says nothing: `values` says otherwise")
        return truths if len(truths) <= 20 else {"all_but": others}, {}, remarks
    raise _unknown(path, rows, "labels: none is called so, and there are no columns of 0 and 1")


def _separator(values: Sequence[str]) -> str:
    """Return the text between several labels of a cell, "" if there is one label a cell.

    >>> _separator(["dog|cat", "dog"]), _separator(["a;b", "c;d"]), _separator(["Labrador retriever", "dog"])
    ('|', ';', '')
    """
    counts = {mark: sum(mark in value for value in values) for mark in SEPARATORS[:3]}
    best = max(counts, key=lambda mark: counts[mark])
    return best if 10 * counts[best] >= len(values) and counts[best] else ""


def _folder(path: Path, values: Sequence[str], remarks: list[str]) -> Path:
    """Return the folder below which the images of a table lie."""
    some = [value for value in values[:50] if value and not is_url(value)]
    beside = sorted(one for one in path.parent.iterdir() if one.is_dir())[:100]
    for folder in (path.parent, *beside, path.parent.parent):
        if some and any((folder / value).is_file() for value in some):
            return folder
    if some:
        remarks.append(f"no file {some[0]} was found beside the table: correct `images`")
    return path.parent


def _first(rows: Mapping[str, Any], names: Sequence[str]) -> str | None:
    known = {name.strip().lower().replace(" ", "_"): name for name in rows}
    return next((known[name] for name in names if name in known), None)


def _unknown(path: Path, rows: Mapping[str, Any], what: str) -> SourceError:
    listed = ", ".join([*rows][:12])
    return SourceError(
        Problem(
            "layout-unknown",
            f"{path.name} has no column of {what}",
            hint=f"its columns are {listed}; write the source by hand: "
            "{type: table, table: …, images: …, columns: {image: …, labels: …}}",
        )
    )
