"""A small collection with two vocabularies, and a spec over it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.photographs import crops
from tests.support.runs import inline
from tests.support.sea_world import make_world

SPEC = """\
mlimg: 1
name: small
version: 1.0.0
sources:
  synsets:
    type: imagenet
    images: synsets
    licence: CC0
  crowd:
    type: open_images
    images: crowd/images
    labels: crowd/labels.csv
    classes: crowd/classes.csv
vocabulary:
  ancestors: common
dataset:
  images_per_shard: 16
"""


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `small.yaml` and its two sources: a synset as a folder, one as a tar, and a crowd's CSV."""
    root = tmp_path_factory.mktemp("collection")
    (root / "small.yaml").write_text(SPEC)
    cats = root / "synsets" / "n02121620"
    cats.mkdir(parents=True)
    for i, data in enumerate(crops("chelsea", 30)):
        (cats / f"n02121620_{i}.JPEG").write_bytes(data)
    with tarfile.open(root / "synsets" / "n04099429.tar", "w") as tar:
        for i, data in enumerate(crops("rocket", 30)):
            member = tarfile.TarInfo(f"n04099429_{i}.JPEG")
            member.size = len(data)
            tar.addfile(member, BytesIO(data))
    images = root / "crowd" / "images"
    images.mkdir(parents=True)
    rows = ["ImageID,Source,LabelName,Confidence"]
    for i, data in enumerate(crops("motorcycle", 40)):
        (images / f"m{i:02}.jpg").write_bytes(data)
        rows += [f"m{i:02},verification,/m/moto,1", f"m{i:02},verification,/m/animal,0"]
        if i % 8 == 0:
            rows.append(f"m{i:02},machine,/m/cat,0.9")
    (root / "crowd" / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "crowd" / "classes.csv").write_text(
        "LabelName,DisplayName\n/m/moto,Motorcycle\n/m/animal,Animal\n/m/cat,Cat\n"
    )
    return root


@pytest.fixture(scope="session")
def spec(collection: Path) -> LoadedSpec:
    return load_spec(collection / "small.yaml")


@pytest.fixture(scope="session")
def built(spec: LoadedSpec, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The collection, built once with one worker."""
    return build(spec, tmp_path_factory.mktemp("built"), inline())


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The folder of `sea.yaml` and its two tables."""
    return make_world(tmp_path)


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, str, str], LoadedSpec]:
    """Loads a spec with one text replaced by another; its sources stay where they are."""

    def edit(path: Path, old: str, new: str) -> LoadedSpec:
        text = path.read_text()
        assert old in text
        copy = path.with_name(f"{path.stem}-{abs(hash(new))}.yaml")
        copy.write_text(text.replace(old, new))
        try:
            return load_spec(copy)
        finally:
            copy.unlink()

    return edit
