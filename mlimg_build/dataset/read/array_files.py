"""Open and read Zarr arrays that somebody else may have written: known codecs, few chunks, no more than is stored."""

from __future__ import annotations

from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic_core import from_json
from zarr.storage import StorePath

from mlimg_build.dataset.format.layout import Column
from mlimg_build.dataset.format.text import Texts
from mlimg_build.dataset.read.guarded_store import FREE, GuardedStore, allowed_bytes
from mlimg_build.errors import DamagedDataset, Problem
from mlimg_build.regular_files import read_regular

__all__ = [
    "damaged",
    "open_array",
    "read_array",
    "read_column",
    "read_texts",
    "require_stored",
    "tail_of",
    "taken",
]

METADATA = 1 << 20  # bytes of the metadata of an array
CHUNKS = 1 << 16  # that are read at once
PACKING = {"zstd", "gzip", "blosc"}
CODECS = {"bytes", "crc32c", "transpose", "sharding_indexed"} | PACKING


def open_array(path: Path, dtype: str | None = None, tail: tuple[int | None, ...] = ()) -> zarr.Array[Any]:
    """Open the array at `path` for reading.

    With `dtype` it has that type, and `tail` are the lengths of its dimensions but the first; None for any length.

    Raises:
        DamagedDataset: `column-unreadable`.
    """
    name = f"array {path.parent.name}/{path.name}"
    try:
        metadata = from_json(read_regular(path / "zarr.json", METADATA))
        listed = _codecs(metadata["codecs"])
        codecs, packed = {*listed}, sum(name in PACKING for name in listed)
        if codecs - CODECS or packed > 1 or codecs >= {"blosc", "sharding_indexed"}:
            known = (
                "bytes, transpose, crc32c, sharding_indexed and one of zstd, gzip and blosc (not in shards)"
            )
            raise ValueError(f"it is encoded with {', '.join(sorted(codecs))[:200]}, and {known} are read")
        store = GuardedStore(path, codecs)
        array: zarr.Array[Any] = zarr.Array.from_dict(StorePath(store), metadata)
    except Exception as error:
        raise damaged(f"{name} cannot be opened: {_why(error)}") from error
    if dtype is not None and not _fits(array, dtype, tail):
        raise damaged(f"{name} is {array.dtype}{list(array.shape)}, which is not what was written")
    return array


def tail_of(column: Column) -> tuple[int, ...]:
    """Return the lengths of a column's dimensions but the first."""
    return () if column.width is None else (column.width,)


def taken(array: zarr.Array[Any], selection: Any, count: int) -> NDArray[Any]:
    """Return the `count` values of a selection of an array.

    Raises:
        ValueError: if they lie in more chunks, or take more memory, than what is stored accounts for.
    """
    require_stored(array, count)
    per_chunk = prod(max(1, min(a, b)) for a, b in zip(array.chunks, array.shape, strict=True))
    chunks = ceil(count / (array.chunks[-1] if isinstance(selection, tuple) else per_chunk))
    if chunks > CHUNKS:
        raise ValueError(f"{count:,} values lie in {chunks:,} chunks")
    return np.asarray(array[selection])


def require_stored(array: zarr.Array[Any], count: int) -> None:
    """Raises `ValueError` if `count` values of an array take more memory than what is stored accounts for."""
    size = count * array.dtype.itemsize
    if size > FREE and size > allowed_bytes(stored := _stored_bytes(array)):
        raise ValueError(f"{size:,} bytes would come from {stored:,}")


def read_array(path: Path) -> NDArray[Any]:
    """Return the whole array at `path`.

    Raises:
        DamagedDataset: `column-unreadable` if it cannot be opened or decoded.
    """
    return _whole(open_array(path), path)


def read_column(path: Path, column: Column) -> NDArray[Any]:
    """Return the whole array at `path`, which has the type and the dimensions of `column`.

    Raises:
        DamagedDataset: as `read_array`.
    """
    return _whole(open_array(path, column.dtype, tail_of(column)), path)


def read_texts(folder: Path, name: str) -> Texts:
    """Return the text column `name` of a table, or of one shard's images. Raises the errors of `read_array`."""
    return Texts(read_array(folder / name).reshape(-1), read_array(folder / f"{name}_stop"))


def damaged(message: str) -> DamagedDataset:
    """Return the error for a column that cannot be used."""
    return DamagedDataset(Problem("column-unreadable", message, hint="run `mlimg verify`"))


def _whole(array: zarr.Array[Any], path: Path) -> NDArray[Any]:
    try:
        return taken(array, ..., prod(array.shape))
    except Exception as error:
        raise damaged(f"array {path.parent.name}/{path.name} cannot be read: {_why(error)}") from error


def _fits(array: zarr.Array[Any], dtype: str, tail: tuple[int | None, ...]) -> bool:
    found = array.shape[1:]
    same = len(found) == len(tail) and all(b in (None, a) for a, b in zip(found, tail, strict=True))
    return array.ndim > 0 and same and array.dtype == np.dtype(dtype)


def _codecs(listed: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for codec in listed:
        inner = codec.get("configuration") or {}
        found += [codec["name"], *_codecs([*inner.get("codecs", []), *inner.get("index_codecs", [])])]
    return found


def _stored_bytes(array: zarr.Array[Any]) -> int:
    store = array.store
    root = store.root if isinstance(store, GuardedStore) else Path()
    return sum(file.stat().st_size for file in (root / "c").rglob("*") if file.is_file())


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
