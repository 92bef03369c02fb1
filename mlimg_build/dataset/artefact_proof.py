"""Verify every byte of one shard's artefact by its digests, before it goes into a dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.counts import label_tally, tally
from mlimg_build.dataset.format.digests import columns_digest
from mlimg_build.dataset.format.layout import (
    CONTRADICTION_COLUMNS,
    LABEL_COLUMNS,
    SPAN_COLUMNS,
    Layout,
    image_columns,
)
from mlimg_build.dataset.read.array_files import read_array
from mlimg_build.dataset.read.shard_reader import ShardFile, ShardRowReader
from mlimg_build.dataset.write.packed_arrays import read_column
from mlimg_build.dataset.write.shard_writer import read_labels, read_result
from mlimg_build.errors import DatasetError

__all__ = ["bytes_flaw", "images_flaw", "labels_flaw"]


def images_flaw(directory: Path, layout: Layout) -> str | None:
    """Return what is wrong with an artefact of images, in a few words; None if every digest matches.

    Never raises for damage. Memory: its columns and one image.
    """
    try:
        record = read_result(directory, "images")
        schema = image_columns(layout)
        values = {column.name: read_array(directory / column.name) for column in schema}
        values |= {
            column.name: values[column.name].reshape(-1) for column in schema if column.text
        }  # of one shard
        if columns_digest((column.name, values[column.name]) for column in schema) != record["digest"]:
            return "its columns differ from their digest"
        empty = values["start"] == values["stop"]
        counts = {
            "statuses": tally(values["status"]),
            "failed": tally(values["status"][empty]),
            "sources": tally(values["source"]),
            "licences": tally(values["licence"]),
        }
        if any(record[name] != _keyed(counted) for name, counted in counts.items()):
            return "its counts are not those of its columns"
        return _bytes_flaw(directory, layout, values)
    except DatasetError as error:
        return error.problems[0].message
    except Exception as error:
        return f"it cannot be read: {error!r}"


def bytes_flaw(directory: Path, layout: Layout, images: int | None = None) -> str | None:
    """Return what is wrong with the bytes of an artefact of images, whose columns are sound; None if nothing is.

    The index of every shard file is compared with its checksum, and of the images the first, the last and some between,
    `images` in all, with their digests; None for all images and what lies behind them. Never raises for damage.
    """
    try:
        count = int(read_result(directory, "images")["images"])
        values = {
            "start": read_column(directory / "start/c/0", "<u8", (count,)),
            "stop": read_column(directory / "stop/c/0", "<u8", (count,)),
            "digest": read_column(directory / "digest/c/0/0", "|u1", (count, 32)),
        }
        return _bytes_flaw(directory, layout, values, images)
    except DatasetError as error:
        return error.problems[0].message
    except Exception as error:
        return f"it cannot be read: {error!r}"


def labels_flaw(directory: Path) -> tuple[str | None, dict[str, NDArray[Any]]]:
    """Return what is wrong with an artefact of labels, None if its digest matches; and its columns, as far as read.

    Never raises for damage.
    """
    columns: dict[str, NDArray[Any]] = {}
    try:
        record = read_result(directory, "labels")
        parts: list[tuple[str, NDArray[Any]]] = []
        for group, schema in (("labels", LABEL_COLUMNS), ("contradictions", CONTRADICTION_COLUMNS)):
            names = [column.name for column in (*SPAN_COLUMNS, *schema)]
            read = read_labels(directory, group, names)
            parts += [(f"{group}/{name}", read[name]) for name in names]
        columns = dict(parts)
        if columns_digest(parts) != record["digest"]:
            return "its columns differ from their digest", columns
        counted = label_tally(*(columns[f"labels/{name}"] for name in ("state", "rule", "source")))
        kept = tally(columns["contradictions/kept"])
        if record["tally"] != [list(row) for row in counted] or record["kept"] != _keyed(kept):
            return "its counts are not those of its columns", columns
    except DatasetError as error:
        return error.problems[0].message, columns
    except Exception as error:
        return f"it cannot be read: {error!r}", columns
    return None, columns


def _bytes_flaw(
    directory: Path, layout: Layout, values: dict[str, NDArray[Any]], images: int | None = None
) -> str | None:
    stream = ShardRowReader(directory / "data", lambda: None)
    stored = np.flatnonzero(values["start"] != values["stop"])
    if images is not None and len(stored) > images:
        stored = stored[np.linspace(0, len(stored) - 1, images).astype(np.int64)]
    try:
        for row in stored.tolist():
            start, stop, digest = int(values["start"][row]), int(values["stop"][row]), values["digest"][row]
            data = stream.read(0, start, stop)
            if data is None:  # a chunk of zeros is not stored, so Zarr must supply these bytes
                data = np.asarray(read_array(directory / "data")[0, start:stop]).tobytes()
            if hashlib.sha256(data).digest() != digest.tobytes():
                return "an image differs from its digest"
    finally:
        stream.close()
    length = int(values["stop"].max(initial=0))
    for path in sorted((directory / "data" / "c" / "0").glob("*")):
        file = ShardFile(path, layout.chunk_bytes, layout.chunks_per_file)
        begin = int(path.name) * layout.chunk_bytes * layout.chunks_per_file
        try:
            if (
                images is None
                and length - begin < file.stored
                and any(file.read(length - begin, file.stored))
            ):
                return "there are bytes behind its last image"
        finally:
            file.close()
    return None


def _keyed(counted: dict[int, int]) -> dict[str, int]:
    """Return the counts with text keys, as JSON stores them."""
    return {str(code): count for code, count in counted.items()}
