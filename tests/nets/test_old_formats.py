"""Datasets and locks of older formats, as they lie on people's disks: read, or refused with what to do."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from mlimg_build.compiler.lock_stage import check_lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import info, open_dataset, verify
from mlimg_build.errors import BuildError, DatasetError
from mlimg_build.spec import load_spec
from tests.support.runs import inline

HERE = Path(__file__).parent


FORMAT_3 = "642f403f9524d6af924d126c17b9a6759497208f37c965755fcec77adfa73074"


def test_a_dataset_of_format_3_reads_as_it_was_written(tmp_path: Path) -> None:
    """What the first release of the format wrote is read for ever: digest, bytes, texts, labels, mappings."""
    with zipfile.ZipFile(HERE / "format-3.zip") as archive:
        archive.extractall(tmp_path)
    shutil.copytree(HERE / "world", tmp_path / "world")
    made = build(load_spec(tmp_path / "world" / "world.yaml"), tmp_path / "out", inline())
    assert verify(tmp_path / "world.zarr").findings == ()
    with open_dataset(tmp_path / "world.zarr") as kept, open_dataset(made.dataset) as now:
        assert kept.digest == FORMAT_3
        assert kept.tables == {name: values[: len(kept.tables[name])] for name, values in now.tables.items()}
        assert list(kept.mappings) == list(now.mappings)
        assert (kept.categories.wnid, kept.categories.names) == (now.categories.wnid, now.categories.names)
        for name, split in kept.splits.items():
            assert list(split) == list(now[name])
            for one, other in zip(split, now[name], strict=True):
                assert one.data == other.data
                assert hashlib.sha256(one.data).hexdigest() == one.digest or not one.data
                assert (one.labels, one.copies) == (other.labels, other.copies)


def test_a_dataset_of_format_3_as_it_was_before_its_release_is_refused_and_replaced(tmp_path: Path) -> None:
    shutil.copytree(HERE / "world", tmp_path / "world")
    loaded = load_spec(tmp_path / "world" / "world.yaml")
    made = build(loaded, tmp_path / "out", inline())
    root = made.dataset / "zarr.json"
    told = json.loads(root.read_text())
    told["attributes"]["layout"] |= {"id_bytes": 16, "author_bytes": 1}
    root.write_text(json.dumps(told))
    with pytest.raises(DatasetError, match="before its release") as caught:
        open_dataset(made.dataset)
    assert caught.value.code == "format-unsupported"
    assert build(loaded, tmp_path / "out", inline()).digest == made.digest
    assert verify(made.dataset).ok


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The small world, with what the version that wrote `mlimg-dataset/2` made of it."""
    shutil.copytree(HERE / "world", tmp_path / "world")
    with zipfile.ZipFile(HERE / "format-2.zip") as archive:
        archive.extractall(tmp_path / "world" / "out")
    return tmp_path / "world"


def test_a_dataset_of_format_2_is_refused_with_what_to_do(world: Path) -> None:
    for use in (open_dataset, info):
        with pytest.raises(DatasetError) as caught:
            use(world / "out" / "world.zarr")
        assert caught.value.code == "format-unsupported"
        assert "mlimg-dataset/2" in str(caught.value)
        assert "build" in str(caught.value.problems[0].hint)
    assert [finding.code for finding in verify(world / "out" / "world.zarr").findings] == [
        "format-unsupported"
    ]


def test_a_build_takes_its_place(world: Path) -> None:
    made = build(load_spec(world / "world.yaml"), world / "out", inline())
    assert made.dataset == world / "out" / "world.zarr"
    assert verify(made.dataset).ok


def test_a_lock_of_that_time_is_told_to_be_made_again(world: Path) -> None:
    with pytest.raises(BuildError) as caught:
        check_lock(load_spec(world / "world.yaml"), world / "out", world / "out" / "world.lock", inline())
    assert caught.value.code == "lock-unsupported"
    assert "format 2" in str(caught.value)
    assert "mlimg lock" in str(caught.value.problems[0].hint)
