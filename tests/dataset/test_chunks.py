"""Chunks that are written without zarr-python are the bytes that zarr-python writes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import CONTRADICTION_COLUMNS, LABEL_COLUMNS, Column
from mlimg_build.dataset.write.arrays import create_columns, create_ragged
from mlimg_build.dataset.write.packed_arrays import pack_chunks, ragged_chunks, span_chunks, unpack_chunks

DTYPES = sorted({column.dtype for column in (*LABEL_COLUMNS, *CONTRADICTION_COLUMNS)})
CHUNK = 8192
LENGTHS = [1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3]


def column(dtype: str, length: int, filled: str, seed: int) -> NDArray[np.generic]:
    """Values of a kind: all zero, few that are not, a later chunk only, or all random."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 200, length) - (100 if np.dtype(dtype).kind in "if" else 0)
    if filled == "zero":
        values[:] = 0
    elif filled == "few":
        values[rng.random(length) < 0.99] = 0
    elif filled == "late":
        values[:CHUNK] = 0
    return values.astype(dtype)


def stored(root: Path) -> dict[str, bytes]:
    """The chunk files below a folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != "zarr.json"
    }


@given(
    st.sampled_from(DTYPES),
    st.sampled_from(LENGTHS),
    st.sampled_from(["zero", "few", "late", "all"]),
    st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_ragged_chunks_are_zarrs(dtype: str, length: int, filled: str, seed: int) -> None:
    values = column(dtype, length, filled, seed)
    with TemporaryDirectory() as folder:
        create_ragged(Path(folder), (Column("x", dtype),), (1, length), CHUNK)
        zarr.open_array(str(Path(folder) / "x"), mode="r+")[0, :] = values
        assert dict(ragged_chunks("x", values, CHUNK)) == stored(Path(folder))


@given(st.integers(1, 50), st.integers(0, 30), st.booleans())
@settings(max_examples=30, deadline=None)
def test_span_chunks_are_zarrs(rows: int, free: int, zero: bool) -> None:
    values = np.arange(rows, dtype="<u8") * (0 if zero else 3)
    with TemporaryDirectory() as folder:
        create_columns(Path(folder), (Column("start", "<u8"),), rows, rows + free, {}, {"start": values})
        assert dict(span_chunks("start", values, rows + free)) == stored(Path(folder))


def test_a_negative_zero_is_a_value_as_for_zarr(tmp_path: Path) -> None:
    values = np.array([0.0, -0.0], "<f4")
    create_ragged(tmp_path, (Column("x", "<f4"),), (1, 2), CHUNK)
    zarr.open_array(str(tmp_path / "x"), mode="r+")[0, :] = values
    assert dict(ragged_chunks("x", values, CHUNK)) == stored(tmp_path) != {}


@pytest.mark.parametrize(
    "chunks", [{}, {"a/c/0": b"one"}, {"a/c/0": b"one", "b/c/0/1": b"", "b/c/0/0": b"xx"}]
)
def test_what_is_packed_is_unpacked(chunks: dict[str, bytes], tmp_path: Path) -> None:
    assert dict(unpack_chunks(tmp_path, pack_chunks(tmp_path, chunks))) == chunks
