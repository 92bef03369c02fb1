"""A shard may be part-full in the middle: what its first image is, is stored and not computed."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr

from mlimg_build.dataset import open_dataset, verify
from mlimg_build.errors import DamagedDataset, DatasetError
from tests.support.dataset_world import build, ids, image, labels_of, write_shard

BOUNDS = [0, 8, 13, 21, 24]
IMAGES = [image(i) for i in ids(24)]


@pytest.fixture(scope="session")
def gapped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of at most 8 images, of which the second has five."""
    root = tmp_path_factory.mktemp("gapped")
    artefacts = [
        write_shard(root / str(number), IMAGES[start:stop])
        for number, (start, stop) in enumerate(pairwise(BOUNDS))
    ]
    build(root / "gapped.zarr", {"train": artefacts})
    return root / "gapped.zarr"


@pytest.fixture
def gapped_copy(gapped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gapped, tmp_path / "gapped.zarr"))


def test_every_image_behind_a_part_full_shard_is_itself(gapped: Path) -> None:
    split = open_dataset(gapped).train
    assert split.first_image.tolist() == BOUNDS
    assert [one.id for one in split] == [one.id for one in IMAGES]
    assert [split.read(row) for row in range(24)] == [one.data for one in IMAGES]
    assert [split.find(one.id) for one in IMAGES] == list(range(24))
    assert split[-1].height == IMAGES[-1].height


def test_labels_behind_a_part_full_shard_are_the_images_own(gapped: Path) -> None:
    split = open_dataset(gapped).train
    for start, stop in pairwise(BOUNDS):
        labels, contradictions = labels_of(IMAGES[start:stop])
        state = iter(labels.state.tolist())
        for row, count, clashes in zip(range(start, stop), labels.counts, contradictions.counts, strict=True):
            assert [label.state for label in split.labels(row)] == [next(state) for _ in range(count)]
            assert len(split.contradictions(row)) == clashes


def test_rows_and_places_are_each_others_inverse(gapped: Path) -> None:
    split = open_dataset(gapped).train
    places = [(shard, row - split.rows(shard).start) for shard in range(4) for row in split.rows(shard)]
    assert [split.locate(row) for row in range(24)] == places


def test_it_verifies_and_every_array_is_proved(gapped_copy: Path) -> None:
    assert verify(gapped_copy).findings == ()
    first = zarr.open_array(str(gapped_copy / "train/shards/first_image"), mode="r+")
    first[1:3] = np.array([7, 12])
    assert "attributes-differ" in {finding.code for finding in verify(gapped_copy).findings}


def test_shards_that_begin_nowhere_are_damage_and_no_wrong_image(gapped_copy: Path) -> None:
    first = zarr.open_array(str(gapped_copy / "train/shards/first_image"), mode="r+")
    first[2] = 30
    with pytest.raises(DamagedDataset) as caught:
        open_dataset(gapped_copy).train.read(20)
    assert caught.value.code == "column-unreadable"
    assert verify(gapped_copy).findings


def test_a_flipped_byte_of_the_first_images_is_found(gapped_copy: Path) -> None:
    chunk = gapped_copy / "train/shards/first_image/c/0"
    data = bytearray(chunk.read_bytes())
    data[-6] ^= 1
    chunk.write_bytes(data)
    assert "column-unreadable" in {finding.code for finding in verify(gapped_copy).findings}


def test_format_3_of_before_the_release_is_refused_with_what_to_do(gapped_copy: Path) -> None:
    shutil.rmtree(gapped_copy / "train/shards/first_image")
    with pytest.raises(DatasetError) as caught:
        open_dataset(gapped_copy)
    assert caught.value.code == "format-unsupported"
    assert "before its release" in str(caught.value)
    assert "build the dataset again" in str(caught.value.problems[0].hint)


def test_xarray_opens_every_group_that_has_arrays(gapped: Path) -> None:
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    groups = sorted(
        {path.parent.parent for path in gapped.rglob("zarr.json") if (path.parent / "c").is_dir()}
    )
    names = [group.relative_to(gapped).as_posix() for group in groups]
    assert {"categories", "mappings", "train/images", "train/labels", "train/shards"} <= set(names)
    for name in [*names, "copies/groups", "copies/members", "copies/labels", "copies/contradictions"]:
        with xarray.open_zarr(str(gapped), group=name, consolidated=False) as opened:
            assert set(opened.variables) == {path.parent.name for path in (gapped / name).glob("*/zarr.json")}
            assert not any(str(axis).startswith("dim_") for axis in opened.dims)
