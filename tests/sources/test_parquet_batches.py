"""A Parquet file is read in batches that fit, and its rows are the same as when it is read at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlimg_build.sources.lists import parquet_batches
from mlimg_build.sources.lists.parquet_batches import bounded_batches
from mlimg_build.sources.lists.parquet_pages import ColumnPages, column_pages

WRITTEN: list[dict[str, Any]] = [
    {},
    {"use_dictionary": False},
    {"compression": "zstd", "data_page_version": "2.0"},
    {"data_page_size": 200, "write_batch_size": 7},
    {"row_group_size": 100, "dictionary_pagesize_limit": 300, "data_page_size": 100, "write_batch_size": 9},
    {
        "use_dictionary": False,
        "column_encoding": {"image": "DELTA_BYTE_ARRAY", "size": "DELTA_BINARY_PACKED"},
    },
    {"store_schema": False, "row_group_size": 3, "write_page_checksum": True, "write_statistics": True},
]


def table(rows: int = 700) -> pa.Table:
    return pa.table(
        {
            "image": [None if i % 50 == 3 else f"train/{i % 90}/{i}.jpg" for i in range(rows)],
            "labels": [None if i % 9 == 0 else ["dog"] * (i % 4) + [f"cat {i % 70}"] for i in range(rows)],
            "size": np.arange(rows),
            "score": pa.array(np.linspace(0, 1, rows), pa.float32()),
        }
    )


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize(("rows", "window"), [(1 << 16, 128 << 20), (64, 2000), (1 << 16, 600), (8, 1)])
def test_the_rows_are_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: dict[str, Any], rows: int, window: int
) -> None:
    monkeypatch.setattr(parquet_batches, "ROWS", rows)
    monkeypatch.setattr(parquet_batches, "WINDOW", window)
    parquet.write_table(table(), tmp_path / "t.parquet", **written)
    found = list(bounded_batches(tmp_path / "t.parquet", ["image", "labels", "size", "score"]))
    assert [row for batch in found for row in batch.to_pylist()] == table().to_pylist()
    assert all(len(batch) <= rows for batch in found)
    assert window > 600 or max(map(len, found)) < 700


@pytest.mark.parametrize("written", WRITTEN)
def test_the_headers_of_all_pages_are_followed(tmp_path: Path, written: dict[str, Any]) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(table(), path, **written)
    metadata = parquet.read_metadata(path)
    descriptor = os.open(path, os.O_RDONLY)
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            column = metadata.row_group(group).column(number)
            pages = column_pages(descriptor, column)
            assert pages.values.sum() == column.num_values
            assert 0 < pages.sizes.sum() + pages.dictionary <= column.total_uncompressed_size
            assert bool(pages.dictionary) == column.has_dictionary_page
    os.close(descriptor)


@given(
    sizes=st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 20), st.booleans(), st.booleans()), max_size=9
    ),
    rows=st.integers(1, 64),
)
def test_the_most_that_a_batch_holds_is_that_of_its_pages(
    sizes: list[tuple[int, int, bool, bool]], rows: int
) -> None:
    columns = [np.array([one[i] for one in sizes], kind) for i, kind in enumerate((int, int, bool, bool))]
    pages = ColumnPages(*columns, dictionary=0)
    held: dict[int, int] = {}
    start = 0
    for size, values, coded, shared in sizes:
        for window in range(start // rows, (start + values - 1) // rows + 1):
            held[window] = held.get(window, 0) + (
                0 if coded else size * min(values, rows) if shared else size
            )
        start += values
    assert pages.most_in(rows) == max(held.values(), default=0)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_file_ends_in_an_error_of_its_kind(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damage") / "t.parquet"
    parquet.write_table(table(60), path, compression="none")
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        for batch in bounded_batches(path, ["image", "labels"]):
            assert len(batch) <= parquet_batches.ROWS
    except (ValueError, KeyError, OSError, pa.ArrowException):
        pass
