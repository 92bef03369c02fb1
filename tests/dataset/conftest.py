from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlimg_build.dataset import ShardOutput
from tests.support.dataset_world import build, ids, image, write_split


@pytest.fixture(scope="session")
def original_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("dataset")
    splits = {
        "train": write_split(root / "train", [image(i) for i in ids(37)]),
        "validation": write_split(root / "validation", [image(i) for i in ids(5, "validation")]),
    }
    build(root / "small.zarr", splits)
    return root / "small.zarr"


@pytest.fixture
def dataset_copy(original_dataset: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage: no file is shared with the artefacts."""
    shutil.copytree(original_dataset, tmp_path / "small.zarr")
    return tmp_path / "small.zarr"


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[ShardOutput]:
    """Three full shards that tests assemble and never change."""
    return write_split(tmp_path_factory.mktemp("shards"), [image(i) for i in ids(24)])
