"""A small collection of crops of four photographs, with absences, as a dataset to train on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.photographs import crops
from tests.support.runs import backend

SPEC = """\
mlimg: 1
name: small
version: 1.0.0
sources:
  synsets:
    type: imagenet
    images: synsets
  crowd:
    type: open_images
    images: crowd
    labels: labels.csv
    classes: classes.csv
vocabulary:
  ancestors: common
annotation:
  unlabelled: keep
split:
  validation: 0.25
dataset:
  images_per_shard: 16
training:
  model: timm/test_resnet.r160_in1k
  image_size: 32
  batch_size: 16
  epochs: 2
  steps_per_epoch: 4
  shards_mixed: 2
  device: cpu
  learning_rate: {kind: cosine, base: 0.02, warm_up_epochs: 0}
transfer:
  source: synsets
  sizes: [{epoch: 0, size: 24}, {epoch: 1, size: 32}]
  batch_size: 16
  epochs: 2
  device: cpu
  learning_rate: {base: 0.02}
  compare_scratch: true
"""
SYNSETS = {"chelsea": "n02123045", "rocket": "n04099429", "coffee": "n07929519", "motorcycle": "n03790512"}


def collection(root: Path) -> Path:
    """Both sources below `root`, and the spec over them; returns the spec's path."""
    rows = []
    for name, wnid in SYNSETS.items():
        (root / "synsets" / wnid).mkdir(parents=True)
        (root / "crowd").mkdir(exist_ok=True)
        made = crops(name, 32, side=48)
        for i in range(16):
            (root / "synsets" / wnid / f"{wnid}_{i}.JPEG").write_bytes(made[i])
            (root / "crowd" / f"{name}{i}.jpg").write_bytes(made[16 + i])
            rows.append((f"{name}{i}", "verification", f"/q/{name}", "1"))
            if name != "chelsea":
                rows.append((f"{name}{i}", "verification", "/q/animal", "0"))
    whole = (root / "crowd" / "rocket0.jpg").read_bytes()
    (root / "crowd" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    rows.append(("half", "verification", "/q/rocket", "1"))
    names = {
        "chelsea": "tabby",
        "rocket": "rocket",
        "coffee": "espresso",
        "motorcycle": "motorcycle",
        "animal": "animal",
    }
    with (root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("ImageID", "Source", "LabelName", "Confidence"), *rows])
    with (root / "classes.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("LabelName", "DisplayName"), *((f"/q/{k}", v) for k, v in names.items())]
        )
    (root / "small.yaml").write_text(SPEC)
    return root / "small.yaml"


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedSpec, Path]:
    """The spec, and the dataset built from it."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    pytest.importorskip(
        "timm", reason="the extra `timm` is not installed: it has networks small enough for tests"
    )
    root = tmp_path_factory.mktemp("training")
    loaded = load_spec(collection(root))
    return loaded, build(loaded, root / "out", backend(1)).dataset


@pytest.fixture(scope="module")
def dataset(built: tuple[LoadedSpec, Path]) -> Dataset:
    """The dataset, opened for one module: another may build it again, which replaces it."""
    return open_dataset(built[1])
