"""Datasets and locks of older formats, as they lie on people's disks: read, or refused with what to do."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from runs import inline

from mlimg_build.compiler.pipeline import build, check_lock
from mlimg_build.dataset import info, open_dataset, verify
from mlimg_build.errors import BuildError, DatasetError
from mlimg_build.spec import load_spec

HERE = Path(__file__).parent


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
