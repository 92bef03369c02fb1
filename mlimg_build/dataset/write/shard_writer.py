"""Write one shard's artefacts: small directories that tasks write anywhere and `assemble` puts into a dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlimg_build.atomic import explaining_full_disk, save_json, sync_tree
from mlimg_build.dataset.format.column_types import (
    ContradictionColumns,
    ImagesResult,
    LabelColumns,
    StoredImage,
    column_arrays,
)
from mlimg_build.dataset.format.counts import label_tally, tally
from mlimg_build.dataset.format.digests import columns_digest, order_key
from mlimg_build.dataset.format.layout import (
    CONTRADICTION_COLUMNS,
    ENTRIES_PER_CHUNK,
    LABEL_COLUMNS,
    SHARD_FORMAT,
    SPAN_COLUMNS,
    Column,
    Layout,
    image_columns,
)
from mlimg_build.dataset.format.text import encode, pack
from mlimg_build.dataset.format.value_ranges import value_flaw
from mlimg_build.dataset.write.arrays import create_columns, create_data, create_group
from mlimg_build.dataset.write.packed_arrays import PACK, pack_chunks, ragged_chunks, read_chunks, span_chunks
from mlimg_build.dataset.write.result_records import require_record
from mlimg_build.dataset.write.stream import ShardWriter
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.regular_files import read_object

__all__ = ["RESULT", "ImagesWriter", "read_labels", "read_result", "write_labels"]

RESULT = "result.json"


class ImagesWriter:
    """Context manager that writes one row of `images/` to `directory`, and describes it in `.result`.

    Images come in the order of `sha256(id)`, at most `layout.images_per_shard` of them. Memory: one chunk and
    one image, besides the small columns. After an exception the directory is unfinished, and the caller must
    delete it.
    """

    def __init__(self, directory: Path, layout: Layout) -> None:
        self._directory = Path(directory)
        self._layout = layout
        self._rows: list[tuple[Any, ...]] = []
        self._keys: list[bytes] = []
        self._bytes = 0
        self._stream = ShardWriter(self._directory / "data", layout.chunk_bytes, layout.chunks_per_file)
        self._result: ImagesResult | None = None

    @property
    def result(self) -> ImagesResult:
        """What was written; raises `DatasetError` `shard-unfinished` before a clean exit."""
        if self._result is None:
            raise DatasetError(Problem("shard-unfinished", f"{self._directory} is not finished"))
        return self._result

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with explaining_full_disk(self._directory):
                    self._result = self._finish()
        finally:
            self._stream.abandon()

    def add(self, image: StoredImage) -> None:
        """Append the image as the next row.

        Raises:
            DatasetError: `shard-too-full`, `images-unordered` (also for a repeated id), `text-has-zero`,
                `digest-length`, or `disk-full`.
        """
        layout = self._layout
        raw_id, author = encode(image.id, "id"), encode(image.author, "author")
        key = order_key(raw_id)
        if len(self._rows) == layout.images_per_shard:
            message = f"{image.id!r} is one image more than the {layout.images_per_shard} of a shard"
            raise DatasetError(Problem("shard-too-full", message, hint="begin the next shard"))
        if self._keys and key <= self._keys[-1]:
            message = f"image {image.id!r} does not follow the one before it in the order of sha256(id)"
            hint = "sort the images of a split by the sha256 of their ids, and give each id once"
            raise DatasetError(Problem("images-unordered", message, hint=hint))
        if len(image.digest) != 32 or len(image.source_digest) != 32:
            message = f"a digest of image {image.id!r} is not 32 bytes long"
            raise DatasetError(Problem("digest-length", message, hint="hand over the raw sha256"))
        start = self._stream.length
        with explaining_full_disk(self._directory):
            self._stream.write(image.data)
        self._keys.append(key)
        self._rows.append(
            (
                *(start, self._stream.length, raw_id, image.source, image.height, image.width),
                *(image.digest, image.status, image.licence, author, image.source_digest),
            )
        )

    def _finish(self) -> ImagesResult:
        if not self._rows:
            raise DatasetError(
                Problem("shard-empty", f"{self._directory} got no images", hint="plan fewer shards")
            )
        self._stream.close()
        schema, count = image_columns(self._layout), len(self._rows)
        given = [column for column in schema if column.stop_of is None]
        values: dict[str, NDArray[Any]] = {}
        for column, part in zip(given, zip(*self._rows, strict=True), strict=False):
            if column.text:
                values[column.name], values[f"{column.name}_stop"] = pack(part, column.name)
            else:
                values[column.name] = _column(part, column)
        texts = {column.name: len(values[column.name]) for column in schema if column.text}
        create_group(self._directory)
        create_data(self._directory, (1, self._stream.length), self._layout)
        create_columns(
            self._directory,
            schema,
            count,
            self._layout.images_per_shard,
            {name: (1, width) for name, width in texts.items()},
            values,
        )
        empty = values["start"] == values["stop"]
        digest = columns_digest((column.name, values[column.name]) for column in schema)
        statuses = tally(values["status"])
        extra = {
            "length": self._stream.length,
            "texts": texts,
            "statuses": statuses,
            "failed": tally(values["status"][empty]),
            "sources": tally(values["source"]),
            "licences": tally(values["licence"]),
            "first": self._keys[0].hex(),
            "last": self._keys[-1].hex(),
        }
        sizes = sync_tree(self._directory)
        files = {name: size for name, size in sizes.items() if not name.endswith("zarr.json")}
        record = _record("images", self._layout, digest=digest, images=count, files=files, extra=extra)
        save_json(self._directory / RESULT, record)
        return ImagesResult(digest, count, self._stream.length, dict(statuses))


def write_labels(
    directory: Path,
    layout: Layout,
    labels: LabelColumns,
    contradictions: ContradictionColumns,
    sync: bool = True,
) -> str:
    """Write one row of `labels/` and of `contradictions/` to `directory`; return their content digest (hex).

    With `sync` it is on the disk afterwards; without, the caller must sync it before anything relies on it.

    Raises:
        DatasetError: `columns-unequal` if lengths differ, `state-invalid`, `value-out-of-range`, `disk-full`.
    """
    directory = Path(directory)
    count = len(labels.counts)
    if len(contradictions.counts) != count or not 0 < count <= layout.images_per_shard:
        message = (
            f"labels for {count} and contradictions for {len(contradictions.counts)} images make no shard"
        )
        hint = f"give both for the same 1 to {layout.images_per_shard} images"
        raise DatasetError(Problem("columns-unequal", message, hint=hint))
    if not (np.abs(np.asarray(labels.state)) == 1).all():
        hint = "leave unknown labels out"
        raise DatasetError(Problem("state-invalid", "a label's state is neither +1 nor -1", hint=hint))
    with explaining_full_disk(directory):
        directory.mkdir(parents=True, exist_ok=True)
        parts: list[tuple[str, NDArray[Any]]] = []
        widths, chunks = {}, dict[str, bytes]()
        for name, columns, schema in (
            ("labels", labels, LABEL_COLUMNS),
            ("contradictions", contradictions, CONTRADICTION_COLUMNS),
        ):
            spans, values = _spans(columns.counts), dict(column_arrays(columns, schema))
            width = widths[name] = int(spans["stop"][-1])
            if any(len(column) != width for column in values.values()):
                message = f"a column of {name} does not have the {width} entries that the counts add up to"
                hint = "hand over columns of one length"
                raise DatasetError(Problem("columns-unequal", message, hint=hint))
            flaws = (
                f"a value of {name}/{column} {flaw}"
                for column, array in values.items()
                if (flaw := value_flaw(f"{name}/{column}", array, _unknown))
            )
            if flaw := next(flaws, None):
                hint = "check the codes, indices and confidences handed over"
                raise DatasetError(Problem("value-out-of-range", flaw, hint=hint))
            for column, array in spans.items():
                chunks |= span_chunks(f"{name}/{column}", array, layout.images_per_shard)
            for column, array in values.items():
                chunks |= ragged_chunks(f"{name}/{column}", array, ENTRIES_PER_CHUNK[name])
            parts.extend((f"{name}/{column}", array) for column, array in (spans | values).items())
        digest = columns_digest(parts)
        places = pack_chunks(directory, chunks)
        files = {PACK: (directory / PACK).stat().st_size}
        extra = {
            "chunks": places,
            "widths": widths,
            "tally": label_tally(labels.state, labels.rule, labels.source),
            "kept": tally(np.asarray(contradictions.kept)),
        }
        record = _record("labels", layout, digest=digest, images=count, files=files, extra=extra)
        if sync:
            sync_tree(directory)
            save_json(directory / RESULT, record)
        else:
            (directory / RESULT).write_text(json.dumps(record, sort_keys=True) + "\n", encoding="utf-8")
    return digest


def _unknown(table: str) -> None:
    """Return no size: what a label indexes is known when the dataset is assembled."""


def read_result(directory: Path, kind: str) -> dict[str, Any]:
    """Return the record that the writer of an artefact left when it was finished.

    Raises:
        DatasetError: `artefact-unfinished` if there is no record that can be read, or none of this kind and format.
    """
    try:
        result = read_object(directory / RESULT)
        if (result.get("kind"), result.get("format")) != (kind, SHARD_FORMAT):
            raise ValueError("it is of another kind or format")
        require_record(result, kind)
    except (OSError, ValueError) as error:
        message = f"{directory} is not a finished artefact of {kind}"
        raise DatasetError(
            Problem("artefact-unfinished", message, hint="delete it and build again")
        ) from error
    return result


def read_labels(directory: Path, group: str, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return columns that `write_labels` wrote, by name; `group` is "labels" or "contradictions".

    `start` and `stop` have one value per image, the others one per entry.

    Raises:
        DatasetError: those of `read_result`, and `artefact-damaged`.
    """
    result = read_result(directory, "labels")
    schema = {column.name: column.dtype for column in (*LABEL_COLUMNS, *CONTRADICTION_COLUMNS)}
    spans = {column.name: (column.dtype, int(result["images"])) for column in SPAN_COLUMNS}
    columns = {
        f"{group}/{name}": spans.get(name) or (schema[name], int(result["widths"][group])) for name in names
    }
    try:
        found = read_chunks(directory, result["chunks"], columns, ENTRIES_PER_CHUNK[group])
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # RuntimeError is the decoder's
        message = f"the {group} in {directory} cannot be read: {error}"
        raise DatasetError(
            Problem("artefact-damaged", message, hint="delete the artefact and build again")
        ) from error
    return {name: found[f"{group}/{name}"] for name in names}


def _record(
    kind: str, layout: Layout, *, digest: str, images: int, files: dict[str, int], extra: dict[str, Any]
) -> dict[str, Any]:
    """Return the record of a finished artefact; `files` has the size of every file by its path."""
    record = {
        "kind": kind,
        "format": SHARD_FORMAT,
        "digest": digest,
        "images": images,
        "files": files,
        **extra,
    }
    return record | {"layout": layout_record(layout)}


def layout_record(layout: Layout) -> dict[str, int | bool]:
    """Return the layout as JSON-able values."""
    return {name: getattr(layout, name) for name in Layout.__dataclass_fields__}


def _spans(counts: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    lengths = np.asarray(counts, np.int64)
    stop = np.cumsum(lengths)
    return {"start": (stop - lengths).astype("<u8"), "stop": stop.astype("<u8")}


def _column(values: tuple[Any, ...], column: Column) -> NDArray[Any]:
    if column.width is None:
        return column_arrays(_Single(values), (Column("values", column.dtype),))[0][1]
    joined = b"".join(value.ljust(column.width, b"\0") for value in values)
    return np.frombuffer(joined, np.uint8).reshape(len(values), column.width)


class _Single:
    def __init__(self, values: tuple[Any, ...]) -> None:
        self.values = values
