"""Parquet files of images for tests, in the layout of Hugging Face's `datasets`, made with pyarrow alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.sources.formats.parquet_images import ParquetImages
from mlimg_build.spec import ParquetColumns, ParquetSource

__all__ = ["CLASSES", "image_table", "images_of", "write_images"]

CLASSES = ["cat", "dog", "golden_retriever"]


def image_table(
    images: Sequence[bytes | None],
    labels: Sequence[Any],
    paths: Sequence[str | None] | None = None,
    names: Sequence[str] | None = CLASSES,
    label: str = "label",
    **others: Any,
) -> pa.Table:
    """A table with `image: struct<bytes, path>`, labels whose names are in its schema's metadata, and other columns."""
    paths = [None] * len(images) if paths is None else paths
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    structs = [{"bytes": data, "path": path} for data, path in zip(images, paths, strict=True)]
    table = pa.table({"image": pa.array(structs, kind), label: labels, **others})
    feature: dict[str, Any] = {"names": names, "_type": "ClassLabel"}
    kind = table.schema.field(label).type
    if pa.types.is_nested(kind):
        feature = {"feature": feature, "_type": "Sequence"}
    features = {"image": {"_type": "Image"}, **({label: feature} if names is not None else {})}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_images(path: Path, table: pa.Table, **options: Any) -> Path:
    """Write a table as Parquet; folders above are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def images_of(
    images: Path, splits: dict[str, str] | None = None, own: dict[str, Any] | None = None, **columns: str
) -> ParquetImages:
    """The source of Parquet files; `own` are other keys of it than its columns."""
    part = ParquetSource(
        type="parquet", images=images, splits=splits or {}, columns=ParquetColumns(**columns), **own or {}
    )
    return ParquetImages("pets", part)
