"""Write predictions and features to Parquet or npy files, whole or not at all, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.atomic import explaining_full_disk, sync_file
from mlimg_build.csv_cells import CellWriter
from mlimg_build.training.data.views import BATCH
from mlimg_build.training.predict.predictions import ModelOutputs, Predicted, joined, name_of

__all__ = ["write_features_npy", "write_features_parquet", "write_labels_parquet"]

ROWS = 4096  # per Parquet row group

LABELS = pa.schema(
    [
        ("image", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        (
            "labels",
            pa.list_(pa.struct([("wnid", pa.string()), ("name", pa.string()), ("score", pa.float32())])),
        ),
    ]
)


def write_labels_parquet(path: Path, predicted: Iterable[Predicted]) -> int:
    """Write a row per image (`image`, `status`, `reason`, `labels` with wnid, name, score); return their number."""
    rows = 0
    source = iter(predicted)
    with _whole(path) as temporary, pq.ParquetWriter(temporary, LABELS) as writer:
        while part := list(islice(source, ROWS)):
            table = pa.Table.from_pylist(
                [
                    {
                        "image": image.name,
                        "status": image.status,
                        "reason": image.reason,
                        "labels": [
                            {"wnid": label.wnid, "name": label.name, "score": label.score}
                            for label in image.labels
                        ],
                    }
                    for image in part
                ],
                schema=LABELS,
            )
            writer.write_table(table)
            rows += len(part)
    return rows


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
    with _whole(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
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
        _whole(path) as temporary,
        _whole(listing) as listed,
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


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with explaining_full_disk(path):
        try:
            yield temporary
            sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
