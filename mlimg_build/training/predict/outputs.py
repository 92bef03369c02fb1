"""Write predictions to Parquet, CSV or JSON and features to Parquet or npy, whole or not at all, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.atomic import replacing_file
from mlimg_build.csv_cells import CellWriter
from mlimg_build.training.data.views import BATCH
from mlimg_build.training.predict.predictions import ModelOutputs, Predicted, joined, name_of

__all__ = [
    "record",
    "write_features_npy",
    "write_features_parquet",
    "write_labels_csv",
    "write_labels_json",
    "write_labels_parquet",
]

ROWS = 4096  # per Parquet row group

SCORE = [("wnid", pa.string()), ("name", pa.string()), ("score", pa.float64())]
LABEL = pa.struct([*SCORE, ("path", pa.list_(pa.struct(SCORE)))])
LABELS = pa.schema(
    [("image", pa.string()), ("status", pa.string()), ("reason", pa.string()), ("labels", pa.list_(LABEL))]
)


def write_labels_parquet(path: Path, predicted: Iterable[Predicted]) -> int:
    """Write a row per image: `image`, `status`, `reason`, `labels`; return their number.

    `image` is the path as text; `labels` are those of `record`, with their paths and the same float64 scores.
    """
    rows = 0
    source = iter(predicted)
    with replacing_file(path) as temporary, pq.ParquetWriter(temporary, LABELS) as writer:
        while part := list(islice(source, ROWS)):
            records = map(record, part)
            rows_of = [{"image": one.pop("path"), **one} for one in records]
            writer.write_table(pa.Table.from_pylist(rows_of, schema=LABELS))
            rows += len(part)
    return rows


def write_labels_csv(path: Path, predicted: Iterable[Predicted]) -> int:
    """Write a row per image and label, `rank` from 1 on; return the number of images.

    Columns: `image`, `status`, `reason`, `rank`, `wnid`, `name`, `score`. An image without a label, such as one that is
    not readable, has one row, whose last four cells are empty. Cells are guarded (`csv_cells`); scores are unrounded.
    """
    count = 0
    with replacing_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        table = CellWriter(stream)
        table.writerow(("image", "status", "reason", "rank", "wnid", "name", "score"))
        for image in predicted:
            about = image.name, image.status, image.reason
            for rank, label in enumerate(image.labels, 1):
                table.writerow((*about, rank, label.wnid, label.name, label.score))
            if not image.labels:
                table.writerow((*about, "", "", "", ""))
            count += 1
    return count


def write_labels_json(path: Path, predicted: Iterable[Predicted], about: Mapping[str, Any]) -> int:
    """Write one object: what `about` has, and under `images` the `record` of each, one a line; return their number."""
    count = 0
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write("{\n")
        for name, value in about.items():
            stream.write(f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},\n")
        stream.write('"images": [')
        for image in predicted:
            stream.write(",\n" if count else "\n")
            stream.write(json.dumps(record(image), ensure_ascii=False))
            count += 1
        stream.write("\n]}\n")
    return count


def record(image: Predicted) -> dict[str, Any]:
    """Return an image and its labels, JSON-able: `path`, `status`, `reason`, `labels`.

    A label has `wnid`, `name`, `score` and its `path`: the same three of each label above it, the nearest first.
    """
    return {
        "path": image.name,
        "status": image.status,
        "reason": image.reason,
        "labels": [asdict(label) for label in image.labels],
    }


def write_features_parquet(path: Path, seen: Iterable[ModelOutputs], width: int) -> int:
    """Write a row per image (`image`, `status`, `reason`, `feature`: `width` floats or null); return their number."""
    schema = pa.schema(
        [
            ("image", pa.string()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("feature", pa.list_(pa.float32(), width)),
        ]
    )
    rows = 0
    source = iter(seen)
    with replacing_file(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while group := list(islice(source, ROWS // BATCH)):
            part = joined(group)
            bad = pa.array([status != "ok" for status in part.statuses])
            flat = pa.array(part.values.reshape(-1))
            feature = pa.FixedSizeListArray.from_arrays(flat, width, mask=bad)
            columns = [
                pa.array([name_of(name) for name in part.paths]),
                pa.array(part.statuses),
                pa.array(part.reasons),
                feature,
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            rows += len(part.paths)
    return rows


def write_features_npy(path: Path, seen: Iterable[ModelOutputs], width: int) -> int:
    """Write float32[images, width] to `path`, NaN where an image was not readable; return the number of images.

    `path`.images.csv lists the images: `row`, `image`, `status`, `reason`.
    """
    rows = 0
    header = {"descr": "<f4", "fortran_order": False}
    listing = path.with_name(f"{path.name}.images.csv")
    with (
        replacing_file(path) as temporary,
        replacing_file(listing) as listed,
        temporary.open("w+b") as stream,
        listed.open("w", newline="", encoding="utf-8") as text,
    ):
        table = CellWriter(text)
        table.writerow(("row", "image", "status", "reason"))
        # numpy leaves room in a header for a first axis of any length, so it can be rewritten at the end
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (0, width)})
        begin = stream.tell()
        for part in seen:
            stream.write(part.values.astype("<f4", copy=False).tobytes())
            for i, name in enumerate(part.paths):
                table.writerow((rows + i, name_of(name), part.statuses[i], part.reasons[i]))
            rows += len(part.paths)
        stream.seek(0)
        np.lib.format.write_array_header_1_0(stream, {**header, "shape": (rows, width)})
        if stream.tell() != begin:
            raise RuntimeError("numpy's header grew with the number of rows")
    return rows
