"""Arrays that would be unpacked to more than they are: none costs memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from mlimg_build.dataset import open_dataset, verify, write_labels
from mlimg_build.dataset.read.array_files import read_array
from mlimg_build.dataset.read.guarded_store import FREE, unpacked_bytes
from mlimg_build.errors import DamagedDataset, DatasetError
from tests.support.dataset_world import LAYOUT, build, ids, image, labels_of, write_split

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


@pytest.mark.parametrize(
    "attributes",
    [
        {"version": 2},
        {"fraction": 0},
        {"sources": ["a"]},
        {"spec_file": None},
        {"my": float("nan")},
        {"my": {1}},
    ],
)
def test_attributes_with_which_no_reader_opens_a_dataset_are_not_written(
    tmp_path: Path, attributes: dict[str, object]
) -> None:
    shards = write_split(tmp_path / "shards", [image(name) for name in ids(3)])
    build(tmp_path / "d.zarr", {"train": shards}, name="before")
    with pytest.raises(DatasetError) as caught:
        build(tmp_path / "d.zarr", {"train": shards}, **attributes)
    assert caught.value.code == "attributes-invalid"
    with open_dataset(tmp_path / "d.zarr") as dataset:
        assert dataset.attributes["name"] == "before"


@pytest.mark.parametrize("name", ["test.v2", "_dev", "my split", "Ünï", "2019", "a" * 128])
def test_a_split_has_any_plain_name(tmp_path: Path, name: str) -> None:
    shards = write_split(tmp_path / "shards", [image(one) for one in ids(3)])
    build(tmp_path / "d.zarr", {name: shards})
    assert verify(tmp_path / "d.zarr").findings == ()


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/tmp", "copies", "a\nb", "a" * 129])
def test_a_split_that_is_a_path_is_not_written(tmp_path: Path, name: str) -> None:
    shards = write_split(tmp_path / "shards", [image(one) for one in ids(3)])
    with pytest.raises(DatasetError) as caught:
        build(tmp_path / "d.zarr", {name: shards})
    assert caught.value.code == "attributes-invalid"


@pytest.mark.parametrize("column", ["confidence", "record"])
def test_labels_that_no_reader_accepts_are_not_written(tmp_path: Path, column: str) -> None:
    labels, contradictions = labels_of([image(one) for one in ids(3)])
    getattr(labels, column)[0] = -1
    with pytest.raises(DatasetError) as caught:
        write_labels(tmp_path, LAYOUT, labels, contradictions)
    assert caught.value.code == "value-out-of-range"


@pytest.mark.few(1)
@pytest.mark.parametrize("codec", ["gzip", "blosc"])
def test_columns_that_another_tool_packed_are_read(dataset_copy: Path, codec: str) -> None:
    packing = {"gzip": zarr.codecs.GzipCodec(), "blosc": zarr.codecs.BloscCodec()}[codec]
    for file in dataset_copy.rglob("zarr.json"):
        told = json.loads(file.read_text())
        if told["node_type"] == "array" and file.parent.name != "data" and 0 not in told["shape"]:
            array = zarr.open_array(str(file.parent), mode="r")
            values, chunks = np.asarray(array[...]), array.chunks
            names, notes = array.metadata.dimension_names, dict(array.attrs)
            shutil.rmtree(file.parent)
            zarr.create_array(
                store=str(file.parent),
                shape=values.shape,
                dtype=values.dtype,
                chunks=chunks,
                compressors=packing,
                dimension_names=names,
                attributes=notes,
            )[...] = values
    assert verify(dataset_copy).findings == ()


def test_a_bomb_in_another_packing_is_not_unpacked(column: Path) -> None:
    told = json.loads((column / "zarr.json").read_text())
    told["codecs"][-1] = zarr.codecs.BloscCodec(typesize=8).to_dict()
    (column / "zarr.json").write_text(json.dumps(told))
    (column / "c" / "0").write_bytes(b"\x02\x01\x01\x08" + (1 << 31).to_bytes(4, "little") + bytes(100))
    assert "would become 2,147,483,648" in refused(column)
    told["codecs"] += told["codecs"][-1:]
    (column / "zarr.json").write_text(json.dumps(told))
    assert "are read" in refused(column)
