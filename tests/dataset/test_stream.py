"""A shard file written directly has the bytes that zarr-python writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.dataset.format.layout import Layout
from mlimg_build.dataset.write.arrays import create_data
from mlimg_build.dataset.write.stream import ShardWriter

CHUNK, SHARD = 16, 64
SMALL = Layout(images_per_shard=1, chunk_bytes=CHUNK, shard_bytes=SHARD)


def files_under(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def written_directly(root: Path, pieces: list[bytes], layout: Layout) -> dict[str, bytes]:
    writer = ShardWriter(root / "data", layout.chunk_bytes, layout.chunks_per_file)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    create_data(root, (1, writer.length), layout)
    return files_under(root / "data")


def written_by_zarr(root: Path, pieces: list[bytes], layout: Layout) -> dict[str, bytes]:
    row = np.frombuffer(b"".join(pieces), np.uint8)
    create_data(root, (1, len(row)), layout)
    if len(row):
        zarr.open_array(str(root / "data"), mode="r+")[0, :] = row
    return files_under(root / "data")


def assert_equal_files(root: Path, pieces: list[bytes], layout: Layout = SMALL) -> None:
    one = written_directly(root / "direct", pieces, layout)
    other = written_by_zarr(root / "zarr", pieces, layout)
    assert one == other
    assert np.asarray(zarr.open_array(str(root / "direct/data"), mode="r")[...]).tobytes() == b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 63, 64, 65, 79, 80, 128, 129, 200])
def test_sizes_around_chunk_and_shard_borders_give_zarrs_bytes(tmp_path: Path, size: int) -> None:
    assert_equal_files(tmp_path, [bytes(1 + n % 255 for n in range(size))])


@pytest.mark.parametrize("zeros", [(0, 16), (16, 16), (48, 16), (0, 64), (64, 64), (60, 100), (0, 200)])
def test_chunks_of_zeros_are_left_out_as_zarr_does(tmp_path: Path, zeros: tuple[int, int]) -> None:
    data = bytearray(b"x" * 200)
    data[zeros[0] : sum(zeros)] = bytes(zeros[1])
    assert_equal_files(tmp_path, [bytes(data)])


@settings(max_examples=20, deadline=None)
@given(
    pieces=st.lists(
        st.one_of(st.binary(max_size=50), st.integers(0, 90).map(bytes), st.just(b"y" * 70)), max_size=6
    ),
    chunk=st.sampled_from([1, 4, 16]),
    per_file=st.sampled_from([1, 3, 8]),
)
def test_any_pieces_in_any_layout_give_zarrs_bytes(pieces: list[bytes], chunk: int, per_file: int) -> None:
    layout = Layout(images_per_shard=1, chunk_bytes=chunk, shard_bytes=chunk * per_file)
    with tempfile.TemporaryDirectory() as folder:
        assert_equal_files(Path(folder), pieces, layout)


def test_the_default_sizes_give_zarrs_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    assert_equal_files(
        tmp_path, [rng.bytes(n) for n in (700_000, 1, 0, 2_500_000)], Layout(images_per_shard=4)
    )


def test_how_bytes_are_cut_into_pieces_does_not_matter(tmp_path: Path) -> None:
    data = np.random.default_rng(2).bytes(333)
    whole = written_directly(tmp_path / "a", [data], SMALL)
    assert written_directly(tmp_path / "b", [data[n : n + 7] for n in range(0, 333, 7)], SMALL) == whole
