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
from mlimg_build.sources.lists.parquet_footer import read_chunks
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
    chunks = read_chunks(descriptor)
    assert [len(columns) for columns in chunks] == [metadata.num_columns] * metadata.num_row_groups
    for group, columns in enumerate(chunks):
        for number, chunk in enumerate(columns):
            column = metadata.row_group(group).column(number)
            assert (chunk.values, chunk.data, chunk.size, chunk.dictionary or None) == (
                *(column.num_values, column.data_page_offset, column.total_compressed_size),
                column.dictionary_page_offset,
            )
            pages = column_pages(descriptor, chunk, metadata.schema.column(number))
            assert pages.values.sum() == column.num_values
            assert 0 < pages.largest <= column.total_uncompressed_size
            assert bool(pages.dictionary) == column.has_dictionary_page
    os.close(descriptor)


@pytest.mark.parametrize("kind", [b"\x1c", b"\x19"])
def test_a_footer_that_is_nested_without_end_is_refused(tmp_path: Path, kind: bytes) -> None:
    """Structs in structs, and lists in lists."""
    footer = kind * 100_000
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    descriptor = os.open(tmp_path / "t.parquet", os.O_RDONLY)
    try:
        with pytest.raises(ValueError, match="nested too deeply"):
            read_chunks(descriptor)
    finally:
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
    size, values, coded, shared = (
        np.array([one[i] for one in sizes], kind) for i, kind in enumerate((int, int, bool, bool))
    )
    pages = ColumnPages(np.where(shared, size * values, size), values, coded, size, 0, 0, False)
    held: dict[int, int] = {}
    start = 0
    for each, count, in_dictionary, has_shared in sizes:
        for window in range(start // rows, (start + count - 1) // rows + 1):
            most = each * min(count, rows) if has_shared else each
            held[window] = held.get(window, 0) + (0 if in_dictionary else most)
        start += count
    assert pages.most_in(rows) == max(held.values(), default=0)


def read(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of the images and labels of a file, and how many batches they come in."""
    found = list(bounded_batches(path, ["image", "labels"]))
    return [row for batch in found for row in batch.to_pylist()], len(found)


def test_a_long_value_among_coded_and_plain_pages_costs_no_other_row(tmp_path: Path) -> None:
    rare = [f"rare {i}" for i in range(3000)]
    labels = [["x" * 20_000, rare[i], f"tag {i % 50}"] for i in range(3000)]
    whole = pa.table({"image": [f"{i}.jpg" for i in range(3000)], "labels": labels})
    path = tmp_path / "t.parquet"
    parquet.write_table(
        whole, path, dictionary_pagesize_limit=30_000, data_page_size=4000, write_batch_size=9
    )
    with path.open("rb") as stream:
        metadata = parquet.read_metadata(path)
        pages = column_pages(stream.fileno(), read_chunks(stream.fileno())[0][1], metadata.schema.column(1))
    assert pages.coded.any()
    assert not pages.coded.all()
    assert read(path) == (whole.to_pylist(), 1)


def test_lists_of_a_long_text_in_coded_and_plain_pages_are_read_as_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_batches, "NESTED", 12 << 20)
    labels = [["x" * 2000, f"rare {i}"] for i in range(3000)]
    whole = pa.table({"image": [f"{i}.jpg" for i in range(3000)], "labels": labels})
    path = tmp_path / "t.parquet"
    parquet.write_table(whole, path, dictionary_pagesize_limit=9000, data_page_size=4000, write_batch_size=9)
    batches = list(bounded_batches(path, ["image", "labels"]))
    assert pa.types.is_dictionary(batches[0].schema.field("labels").type.value_type)
    assert [row for batch in batches for row in batch.to_pylist()] == whole.to_pylist()


def test_lists_of_texts_that_share_their_beginnings_are_read(tmp_path: Path) -> None:
    labels = [[f"/m/{i:05x}"] * (i % 7) for i in range(40_000)]
    whole = pa.table({"image": [f"train/{i:08x}.jpg" for i in range(40_000)], "labels": labels})
    encoding = {"image": "DELTA_BYTE_ARRAY", "labels.list.element": "DELTA_BYTE_ARRAY"}
    for version in ("1.0", "2.0"):
        path = tmp_path / f"{version}.parquet"
        parquet.write_table(
            whole, path, use_dictionary=False, column_encoding=encoding, data_page_version=version
        )
        assert read(path) == (whole.to_pylist(), 1)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.one_of(st.none(), st.text("ab", max_size=300)), max_size=400),
    version=st.sampled_from(["1.0", "2.0"]),
    compression=st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4", "brotli"]),
    listed=st.booleans(),
)
def test_texts_that_share_their_beginnings_are_measured(
    texts: list[str | None],
    version: str,
    compression: str,
    listed: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("shared") / "t.parquet"
    column = pa.array([texts[i : i + 3] for i in range(0, len(texts), 3)] if listed else texts)
    kind = pa.list_(pa.string()) if listed else pa.string()
    parquet.write_table(
        pa.table({"a": column.cast(kind)}),
        path,
        use_dictionary=False,
        column_encoding="DELTA_BYTE_ARRAY",
        data_page_version=version,
        compression=compression,
    )
    metadata = parquet.read_metadata(path)
    if not metadata.num_row_groups:
        return
    with path.open("rb") as stream:
        pages = column_pages(stream.fileno(), read_chunks(stream.fileno())[0][0], metadata.schema.column(0))
    sizes = [len(text) for text in texts if text is not None]
    assert (pages.sizes.sum(), pages.longest.max(initial=0)) == (sum(sizes), max(sizes, default=0))


def test_a_page_of_more_than_a_batch_may_take_is_read_in_large_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_batches, "WINDOW", 100_000)
    whole = pa.table({"image": [f"{i:0100}.jpg" for i in range(3000)], "labels": ["dog"] * 3000})
    path = tmp_path / "t.parquet"
    parquet.write_table(whole, path, use_dictionary=False, data_page_size=1 << 30, write_batch_size=3000)
    assert read(path) == (whole.to_pylist(), 1)


def test_small_row_groups_come_in_large_batches(tmp_path: Path) -> None:
    rows = [{"image": f"{i:040}.jpg", "labels": [f"tag {i}"]} for i in range(60_000)]
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000)
    assert read(path) == (rows, 1)


def test_many_numbers_in_lists_take_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_batches, "NESTED", 13 * 60_000)
    scores = pa.array(np.linspace(0, 1, 60_000).reshape(1000, 60).tolist(), pa.list_(pa.float32()))
    whole = pa.table({"image": [f"{i}.jpg" for i in range(1000)], "labels": scores})
    for dictionary in (True, False):
        parquet.write_table(whole, tmp_path / "t.parquet", use_dictionary=dictionary)
        assert read(tmp_path / "t.parquet")[0] == whole.to_pylist()


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
