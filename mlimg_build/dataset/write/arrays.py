"""Create Zarr arrays with every setting explicit, so that no Zarr configuration changes a byte."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, ZstdCodec

from mlimg_build.dataset.format.layout import TEXT_BYTES_PER_CHUNK, ZSTD_LEVEL, Column, Layout
from mlimg_build.dataset.format.text import ENCODING

__all__ = ["create_columns", "create_data", "create_group", "create_ragged", "create_table"]


def create_group(path: Path, attributes: dict[str, Any] | None = None) -> None:
    """Create a Zarr v3 group with these attributes at `path`."""
    zarr.create_group(store=str(path), zarr_format=3, attributes=attributes or {})


def create_columns(
    group: Path,
    schema: tuple[Column, ...],
    rows: int,
    chunk_rows: int,
    texts: Mapping[str, tuple[int, int]],
    values: dict[str, NDArray[Any]] | None = None,
) -> None:
    """Create in `group` an array [image] or [image, byte] per column, in chunks of `chunk_rows` whole rows.

    The bytes of a text column are an array [shard, byte] of the shape in `texts`. With `values` the arrays are filled
    (those of texts in their first row); without, they are metadata to which chunk files are added.
    """
    for column in schema:
        if column.text:
            both = ("shard", f"{column.name}_byte")
            array = _create(group / column.name, texts[column.name], (1, TEXT_BYTES_PER_CHUNK), column, both)
            if values is not None and len(values[column.name]):
                array[0] = values[column.name]
            continue
        tail = () if column.width is None else (column.width,)
        axes = column.dimension_names("image")
        array = _create(group / column.name, (rows, *tail), (chunk_rows, *tail), column, axes)
        if values is not None:
            array[...] = values[column.name]


def create_table(
    group: Path, schema: tuple[Column, ...], columns: list[tuple[str, NDArray[Any]]], axis: str
) -> None:
    """Create `group` with every column in one chunk; `axis` names its rows.

    Columns with an axis of their own may differ in length.
    """
    create_group(group)
    for column, (_, values) in zip(schema, columns, strict=True):
        chunks = tuple(max(1, size) for size in values.shape)
        axes = column.dimension_names(axis)
        _create(group / column.name, values.shape, chunks, column, axes)[...] = values


def create_ragged(group: Path, schema: tuple[Column, ...], shape: tuple[int, int], chunk: int) -> None:
    """Create in `group` the metadata of an array [shard, entry] per column, in chunks of `chunk` entries."""
    for column in schema:
        _create(group / column.name, shape, (1, chunk), column, column.dimension_names("shard", "entry"))


def create_data(group: Path, shape: tuple[int, int], layout: Layout) -> None:
    """Create in `group` the metadata of `data` [shard, byte], whose files `ShardWriter` writes."""
    zarr.create_array(
        store=str(group / "data"),
        shape=shape,
        dtype="uint8",
        chunks=(1, layout.chunk_bytes),
        shards=(1, layout.shard_bytes),
        serializer=BytesCodec(endian=None),
        compressors=None,
        dimension_names=("shard", "byte"),
        **_FIXED,
    )


_FIXED: dict[str, Any] = {
    "fill_value": 0,
    "filters": None,
    "order": None,
    "zarr_format": 3,
    "chunk_key_encoding": {"name": "default", "separator": "/"},
    "config": {"order": "C", "write_empty_chunks": False},
}


def _create(
    path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], column: Column, axes: tuple[str, ...]
) -> zarr.Array[Any]:
    dtype = np.dtype(column.dtype)
    return zarr.create_array(
        store=str(path),
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        shards=None,
        serializer=BytesCodec(endian=None if dtype.itemsize == 1 else "little"),
        # the checksum turns a flipped bit into an error instead of a wrong label
        compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
        attributes={"encoding": ENCODING, "stops": f"{column.name}_stop"} if column.text else {},
        dimension_names=axes,
        **_FIXED,
    )
