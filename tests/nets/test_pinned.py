"""Digests that no move of code may change: of a small dataset, its lock, and the first steps of a training."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.spec import load_spec
from tests.support.runs import inline

WORLD = Path(__file__).with_name("world")
DATASET = "642f403f9524d6af924d126c17b9a6759497208f37c965755fcec77adfa73074"
LOCK = {
    "categories.csv": "06c6bb33e2c9e127",
    "cooccurrence.csv": "2fe5a84f89595101",
    "duplicates.csv": "841793952006a3c9",
    "mappings.csv": "8934290a40eb5782",
    "shards.csv": "efad6f24671c508c",
}
LOSSES = [121.463, 83.5333, 62.0244, 44.0131, 31.8079]
TRAINING = """\
training:
  model: resnet18
  image_size: 64
  batch_size: 4
  epochs: 5
  learning_rate: {base: 0.00002, warm_up_epochs: 0}
  precision: fp32
  seed: 7
  head_bias: random
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the small world: two sources of six photographs, copies, a damaged and a missing file."""
    return Path(shutil.copytree(WORLD, tmp_path_factory.mktemp("pinned") / "world"))


@pytest.fixture(scope="module")
def built(world: Path) -> Built:
    return build(load_spec(world / "world.yaml"), world / "out", inline())


def test_the_dataset_has_the_digest_that_it_always_had(built: Built) -> None:
    assert built.digest == DATASET


def test_the_lock_has_the_files_that_it_always_had(built: Built) -> None:
    tables = sorted(path for path in built.lock.iterdir() if path.suffix == ".csv")
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in tables} == LOCK


def test_the_first_steps_of_a_training_have_the_losses_that_they_always_had(
    world: Path, built: Built
) -> None:
    """To 4 parts in a hundred: processors round convolutions each in its own way (2.2 were seen); without learning the
    last would be 13 away."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from mlimg_build.compiler.model_stage import make_model
    from mlimg_build.spec import Backend, TrainingBackend

    (world / "training.yaml").write_text((world / "world.yaml").read_text() + TRAINING)
    backend = Backend(training=TrainingBackend(loader_workers=0))
    made = make_model(load_spec(world / "training.yaml"), world / "out", backend)
    assert made.model.is_dir()
    (history,) = (world / "out" / "world.runs").glob("*/history.jsonl")
    steps = [json.loads(line) for line in history.read_text().splitlines()]
    losses = [step["loss"] for step in steps if step["kind"] == "step"]
    assert losses[: len(LOSSES)] == pytest.approx(LOSSES, rel=4e-2)
