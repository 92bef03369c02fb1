"""A value of a Parquet file is found by its page, and is the one that pyarrow reads in that row."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlimg_build.sources.embedded import image_pages, page_reader
from mlimg_build.sources.embedded.hybrid_runs import unpack_runs
from mlimg_build.sources.embedded.image_pages import RowQueue, locate_rows
from mlimg_build.sources.embedded.page_address import MOST_ROWS, PageAddress, page_numbers
from mlimg_build.sources.embedded.page_reader import DamagedPageError, FileState, NoValueError, PageReader
from mlimg_build.sources.lists.parquet_footer import read_chunks
from mlimg_build.sources.lists.parquet_pages import TooLargeError

CODECS = ("none", "snappy", "gzip", "brotli", "zstd", "lz4")
ENCODINGS = ("dictionary", "PLAIN", "DELTA_LENGTH_BYTE_ARRAY")


def read_all(
    path: Path, leaf: str, held: int = 1 << 20, order: list[int] | None = None
) -> list[bytes | None]:
    """Every value of a column, by its page: what is located as null is None, and so is what the page says is."""
    with pq.ParquetFile(path) as file:
        number = [file.schema.column(i).path for i in range(file.metadata.num_columns)].index(leaf)
        level = file.schema.column(number).max_definition_level
    size, reader = path.stat().st_size, PageReader(held)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        groups = [locate_rows(descriptor, size, group[number], level) for group in read_chunks(descriptor)]
        rows = [
            (int(offset), int(inside), bool(null))
            for group in groups
            for offset, inside, null in zip(group.offset, group.inside, group.null, strict=True)
        ]
        found: list[bytes | None] = [None] * len(rows)
        for i in order or range(len(rows)):
            offset, inside, null = rows[i]
            try:
                found[i] = reader.read(descriptor, FileState(path.name, size, 1), offset, inside)
                assert not null
            except NoValueError:
                assert null
        return found
    finally:
        os.close(descriptor)


def options_of(codec: str, version: str, encoding: str, column: str, **more: Any) -> dict[str, Any]:
    written = {"compression": codec, "data_page_version": version, **more}
    if encoding == "dictionary":
        return {**written, "use_dictionary": True}
    return {**written, "use_dictionary": False, "column_encoding": {column: encoding}}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_value_is_that_which_pyarrow_reads(tmp_path: Path, data: st.DataObject) -> None:
    values = data.draw(
        st.lists(
            st.one_of(st.none(), st.binary(max_size=40), st.just(b"again" * 30)), min_size=1, max_size=150
        )
    )
    struct = data.draw(st.booleans())
    if struct:
        hidden = data.draw(st.sets(st.integers(0, len(values) - 1)))
        column = [None if i in hidden else {"bytes": value} for i, value in enumerate(values)]
        table = pa.table({"image": pa.array(column, pa.struct([("bytes", pa.binary())]))})
        leaf, wanted = "image.bytes", [None if i in hidden else value for i, value in enumerate(values)]
    else:
        kind = data.draw(st.sampled_from([pa.binary(), pa.large_binary()]))
        required = None not in values and data.draw(st.booleans())
        schema = pa.schema([pa.field("image", kind, nullable=not required)])
        table, leaf, wanted = pa.table([pa.array(values, kind)], schema=schema), "image", values
    path = tmp_path / "t.parquet"
    pq.write_table(
        table,
        path,
        **options_of(
            data.draw(st.sampled_from(CODECS)),
            data.draw(st.sampled_from(["1.0", "2.0"])),
            data.draw(st.sampled_from(ENCODINGS)),
            leaf,
            row_group_size=data.draw(st.sampled_from([1, 7, 60, 1000])),
            data_page_size=data.draw(st.sampled_from([1, 64, 500, 1 << 20])),
            write_batch_size=data.draw(st.sampled_from([1, 5, 1024])),
            dictionary_pagesize_limit=data.draw(st.sampled_from([50, 1 << 20])),
            write_statistics=data.draw(st.booleans()),
            write_page_checksum=data.draw(st.booleans()),
        ),
    )
    order = data.draw(st.permutations(range(len(values))))
    assert read_all(path, leaf, data.draw(st.sampled_from([0, 300, 1 << 20])), order) == wanted


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, (1 << 31) - 1), max_size=60), st.integers(1, 5), st.integers(0, 31))
def test_runs_are_unpacked_as_they_were_packed(numbers: list[int], times: int, width: int) -> None:
    """Written by hand after Encodings.md: a run of one number, then groups of eight of them bit by bit."""
    numbers = [number & ((1 << width) - 1) for number in numbers]
    data = b""
    for number in numbers[:times]:
        data += bytes([3 << 1]) + number.to_bytes((width + 7) // 8, "little")
    packed = numbers[times:] + [0] * (-len(numbers[times:]) % 8)
    if packed:
        bits = sum(number << (width * i) for i, number in enumerate(packed))
        data += bytes([len(packed) // 8 << 1 | 1]) + bits.to_bytes(len(packed) * width // 8, "little")
    wanted = [number for number in numbers[:times] for _ in range(3)] + numbers[times:]
    assert unpack_runs(data, width, len(wanted)).tolist() == wanted
    if wanted and width:
        with pytest.raises(ValueError):
            unpack_runs(data[: len(data) // 2 - 1] if len(data) > 2 else b"", width, len(wanted))


@given(st.integers(0, MOST_ROWS - 1), st.integers(0, 3), st.integers(0, 7), st.integers(0, (1 << 34) - 1))
def test_an_address_is_a_number_and_back(row: int, level: int, codec: int, back: int) -> None:
    (number,) = page_numbers(np.array([row]), level, codec, back)
    assert 0 <= number < 1 << 63
    assert PageAddress.of(int(number)) == (row, level, codec, back)


def written(tmp_path: Path, values: list[bytes | None], **options: Any) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"image": pa.array(values, pa.binary())}), path, **options)
    return path


def test_one_value_of_a_page_that_is_not_compressed_is_read_without_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: list[bytes | None] = [os.urandom(100_000) for _ in range(50)]
    path = written(tmp_path, values, compression="none", use_dictionary=False)
    asked: list[int] = []
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: asked.append(n) or real(fd, n, at))
    descriptor = os.open(path, os.O_RDONLY)
    (group,) = read_chunks(descriptor)
    rows = locate_rows(descriptor, path.stat().st_size, group[0], 1)
    assert len(set(rows.offset.tolist())) == 1
    assert sum(asked) < 50_000
    asked.clear()
    state = FileState("t", path.stat().st_size, 1)
    assert PageReader().read(descriptor, state, int(rows.offset[0]), int(rows.inside[41])) == values[41]
    os.close(descriptor)
    assert sum(asked) < 110_000


def test_planning_reads_no_image_where_statistics_tell_that_none_is_null(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [os.urandom(50_000) for _ in range(40)], compression="snappy")
    monkeypatch.setattr(image_pages, "read_page", lambda *_: pytest.fail("a page was read"))
    descriptor = os.open(path, os.O_RDONLY)
    (group,) = read_chunks(descriptor)
    assert not locate_rows(descriptor, path.stat().st_size, group[0], 1).null.any()
    os.close(descriptor)


def test_pages_are_kept_up_to_a_limit_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values: list[bytes | None] = [os.urandom(1000) for _ in range(100)]
    path = written(
        tmp_path, values, compression="snappy", use_dictionary=False, row_group_size=10, write_batch_size=10
    )
    unpacked: list[int] = []
    real = page_reader.read_page
    monkeypatch.setattr(page_reader, "read_page", lambda *given: unpacked.append(1) or real(*given))
    assert read_all(path, "image", 1 << 20) == values
    assert len(unpacked) == 10
    unpacked.clear()
    order = [row * 10 + column for column in range(10) for row in range(10)]
    assert read_all(path, "image", 1 << 20, order) == values
    assert len(unpacked) == 10
    unpacked.clear()
    assert read_all(path, "image", 20_000, order) == values
    assert len(unpacked) == 100


def test_another_file_in_its_place_shares_no_page(tmp_path: Path) -> None:
    one = written(tmp_path / "", [b"one"] * 3, compression="snappy", use_dictionary=False)
    reader = PageReader()

    def value(mtime: int) -> bytes:
        descriptor = os.open(one, os.O_RDONLY)
        (group,) = read_chunks(descriptor)
        rows = locate_rows(descriptor, one.stat().st_size, group[0], 1)
        state = FileState("t", one.stat().st_size, mtime)
        found = reader.read(descriptor, state, int(rows.offset[0]), int(rows.inside[0]))
        os.close(descriptor)
        return found

    assert value(1) == b"one"
    written(tmp_path, [b"two"] * 3, compression="snappy", use_dictionary=False)
    assert value(2) == b"two"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_damage_is_an_error_of_its_own_and_never_another_one(
    tmp_path: Path, codec: str, encoding: str, version: str
) -> None:
    values: list[bytes | None] = [bytes([i]) * (i * 7) for i in range(60)]
    path = written(tmp_path, values, **options_of(codec, version, encoding, "image"))
    whole = path.read_bytes()
    descriptor = os.open(path, os.O_RDONLY)
    (group,) = read_chunks(descriptor)
    rows = locate_rows(descriptor, len(whole), group[0], 1)
    os.close(descriptor)
    rng = np.random.default_rng(3)
    end = group[0].data + group[0].size
    for _ in range(150):
        broken = bytearray(whole)
        for at in rng.integers(4, min(end, len(whole)), 3):
            broken[at] = rng.integers(256)
        path.write_bytes(broken)
        descriptor = os.open(path, os.O_RDONLY)
        reader = PageReader()
        for offset, inside in zip(rows.offset[::9], rows.inside[::9], strict=True):
            with suppress(DamagedPageError, NoValueError):
                reader.read(descriptor, FileState("t", len(whole), 1), int(offset), int(inside))
        os.close(descriptor)


def test_a_page_that_claims_to_be_huge_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_pages, "PAGE", 10_000)
    for options in ({"use_dictionary": False}, {}):
        path = written(tmp_path, [os.urandom(5000) for _ in range(10)], **options)
        descriptor = os.open(path, os.O_RDONLY)
        (group,) = read_chunks(descriptor)
        with pytest.raises(TooLargeError):
            locate_rows(descriptor, path.stat().st_size, group[0], 1)
        os.close(descriptor)


def test_a_large_page_of_which_values_are_read_alone_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_pages, "PAGE", 10_000)
    values: list[bytes | None] = [os.urandom(5000) for _ in range(10)]
    path = written(tmp_path, values, use_dictionary=False, compression="none")
    assert read_all(path, "image") == values


def test_an_encoding_that_is_not_read_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, [b"x"], **options_of("none", "1.0", "DELTA_BYTE_ARRAY", "image"))
    descriptor = os.open(path, os.O_RDONLY)
    (group,) = read_chunks(descriptor)
    with pytest.raises(ValueError, match="encoded in a way that is not read"):
        locate_rows(descriptor, path.stat().st_size, group[0], 1)
    os.close(descriptor)


def test_rows_are_handed_out_in_pieces_of_any_size(tmp_path: Path) -> None:
    path = written(tmp_path, [b"x"] * 100, row_group_size=7)
    descriptor = os.open(path, os.O_RDONLY)
    groups = [locate_rows(descriptor, path.stat().st_size, group[0], 1) for group in read_chunks(descriptor)]
    os.close(descriptor)
    queue = RowQueue(iter(groups))
    taken = [queue.take(count) for count in (1, 30, 6, 63)]
    assert [len(one) for one in taken] == [1, 30, 6, 63]
    assert np.concatenate([one.inside for one in taken]).tolist() == [
        number for group in groups for number in group.inside.tolist()
    ]
    with pytest.raises(ValueError, match="fewer rows"):
        queue.take(1)
