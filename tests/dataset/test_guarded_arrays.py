"""Arrays that would be unpacked to more than they are: none costs memory."""

from __future__ import annotations

import json
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from mlimg_build.dataset import open_dataset
from mlimg_build.dataset.read.array_files import read_array
from mlimg_build.dataset.read.guarded_store import FREE, unpacked_bytes
from mlimg_build.errors import DamagedDataset, DatasetError
from tests.support.dataset_world import build, ids, image, write_split

SIZES = (0, 1, 255, 256, 300, 65_535, 65_792, 70_000, 5_000_000)


def refused(path: Path) -> str:
    with pytest.raises(DamagedDataset) as caught:
        read_array(path)
    assert caught.value.code == "column-unreadable"
    return str(caught.value)


@pytest.fixture
def column(tmp_path: Path) -> Path:
    """A column of a thousand numbers in one chunk."""
    path = tmp_path / "group" / "column"
    zarr.create_array(store=str(path), shape=(1000,), dtype="i8", chunks=(1000,))[...] = np.arange(1000)
    assert read_array(path).tolist() == list(range(1000))
    return path


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("checksum", [False, True])
def test_a_frame_says_its_size(size: int, checksum: bool) -> None:
    frame = bytes(numcodecs.Zstd(level=1, checksum=checksum).encode(np.zeros(size, "u1")))
    if size:
        assert unpacked_bytes(frame) == size


def test_a_chunk_that_would_fill_the_memory_is_not_unpacked(column: Path) -> None:
    (column / "c" / "0").write_bytes(
        bytes.fromhex("28b52ffde0") + (1 << 45).to_bytes(8, "little") + bytes(100)
    )
    assert "would become 35,184,372,088,832" in refused(column)


def test_a_chunk_that_does_not_say_its_size_is_not_unpacked(column: Path) -> None:
    (column / "c" / "0").write_bytes(bytes.fromhex("28b52ffd0058") + bytes(100))
    assert "does not say to what size" in refused(column)


def test_a_real_bomb_is_not_unpacked(column: Path) -> None:
    told = json.loads((column / "zarr.json").read_text())
    size = FREE + (1 << 20)
    told |= {"shape": [size], "data_type": "uint8"}
    told["codecs"][0] = {"name": "bytes"}
    told["chunk_grid"]["configuration"]["chunk_shape"] = [size]
    bomb = bytes(numcodecs.Zstd(level=1).encode(np.zeros(size, "u1")))
    assert len(bomb) < 1 << 16
    (column / "c" / "0").write_bytes(bomb)
    (column / "zarr.json").write_text(json.dumps(told))
    assert f"{size:,} bytes would come from {len(bomb):,}" in refused(column)


@pytest.mark.parametrize(("shape", "chunk"), [(1 << 40, 1 << 40), (1 << 30, 1 << 20), (200_000, 1)])
def test_what_is_not_stored_is_not_made_up(column: Path, shape: int, chunk: int) -> None:
    told = json.loads((column / "zarr.json").read_text())
    told["shape"] = [shape]
    told["chunk_grid"]["configuration"]["chunk_shape"] = [chunk]
    (column / "zarr.json").write_text(json.dumps(told))
    (column / "c" / "0").unlink()
    refused(column)


def test_zeros_that_are_not_stored_are_read(column: Path) -> None:
    (column / "c" / "0").unlink()
    assert not read_array(column).any()


def test_attributes_that_no_reader_would_open_are_not_written(tmp_path: Path) -> None:
    shards = write_split(tmp_path / "shards", [image(name) for name in ids(3)])
    with pytest.raises(DatasetError) as caught:
        build(tmp_path / "d.zarr", {"train": shards}, note="x" * (40 << 20))
    assert caught.value.code == "attributes-too-long"
    assert not (tmp_path / "d.zarr").exists()
    build(tmp_path / "d.zarr", {"train": shards}, note="x" * (20 << 20))
    with open_dataset(tmp_path / "d.zarr") as dataset:
        assert len(dataset.attributes["note"]) == 20 << 20
