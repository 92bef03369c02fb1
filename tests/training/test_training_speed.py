"""How fast a network is trained: on a batch that is there already, fed from the dataset, and the loader alone.

`make bench` runs it on real data: with a GPU ResNet-101 at 224 px in bf16 on the three sources, without one ResNet-18
at 64 px on tiny-imagenet; else, in every test run, on a few images.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from statistics import median

import pytest

from tests.support.runs import backend

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.compiler.pipeline import build  # noqa: E402
from mlimg_build.dataset import Dataset, open_dataset  # noqa: E402
from mlimg_build.images import available_decoder  # noqa: E402
from mlimg_build.spec import (  # noqa: E402
    Augmentation,
    LearningRate,
    MLImagesLossPart,
    Optimizer,
    TrainingBackend,
    load_spec,
)
from mlimg_build.training import Batch, BatchLoader, BatchPlan, Job, Samples, ShuffleOrder  # noqa: E402
from mlimg_build.training.devices import ComputeDevice, prepared  # noqa: E402
from mlimg_build.training.loop.trainer import Trainer  # noqa: E402
from mlimg_build.training.loss.objectives import multi_label  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402

FULL = os.environ.get("MLIMG_BENCH") == "full"
GPU = FULL and torch.cuda.is_available()
ARCHITECTURE, SIZE, BATCH = (
    ("resnet101", 224, 256) if GPU else ("resnet18", 64, 64) if FULL else ("resnet18", 32, 4)
)
STEPS, WARM, TURNS = (60, 10, 3) if GPU else (30, 3, 3) if FULL else (2, 1, 1)
TINY = """\
mlimg: 1
name: tiny
version: 1.0.0
sources:
  tiny: {{type: imagenet, images: {data}/tiny-imagenet/train}}
  imagenet: {{type: imagenet, images: {data}/imagenet-sample}}
vocabulary: {{ancestors: common}}
dataset: {{images_per_shard: 1024}}
"""


def job(dataset: Dataset) -> Job:
    """A run of the published augmentation and loss."""
    samples = Samples(dataset, "train")
    order = ShuffleOrder(samples.usable(), 4, 0)
    return Job(
        name="speed",
        key="",
        digests={},
        architecture=ARCHITECTURE,
        outputs=len(dataset.categories),
        stream=BatchPlan(samples, order, BATCH, ((0, SIZE),), Augmentation(), 0, available_decoder()),
        steps_per_epoch=1000,
        epochs=1,
        rate=LearningRate(base=0.01),
        optimizer=Optimizer(),
        precision="bf16" if FULL else "fp32",
        micro_batch=None,
        gradient_clip=None,
        ema=None,
        frozen_stages=0,
        seed=0,
    )


def rate(batches: Iterator[Batch], learner: Trainer | None) -> float:
    """Images a second over `STEPS` batches, after `WARM` that are not counted."""
    started = 0.0
    for number, batch in enumerate(batches):
        if number == WARM:
            if learner is not None and learner.machine.device.type == "cuda":
                torch.cuda.synchronize()
            started = time.perf_counter()
        if number == WARM + STEPS:
            break
        if learner is not None:
            learner.learn(batch)
    if learner is not None and learner.machine.device.type == "cuda":
        torch.cuda.synchronize()
    return STEPS * BATCH / (time.perf_counter() - started)


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_images_a_second_fed_from_the_dataset_and_synthetic(
    dataset: Dataset, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if FULL:
        data = request.getfixturevalue("shared_data")
        (tmp_path / "tiny.yaml").write_text(TINY.format(data=data))
        dataset = open_dataset(build(load_spec(tmp_path / "tiny.yaml"), tmp_path / "out", backend(2)).dataset)
    rates: dict[str, list[float]] = {"loader alone": [], "fed": [], "synthetic": []}
    with prepared("auto" if FULL else "cpu", TrainingBackend(loader_workers=None if FULL else 0)) as machine:
        made = job(dataset)
        learner = _learner(made, machine)
        pin = machine.device.type == "cuda"
        for _ in range(TURNS):
            rates["loader alone"].append(rate(loaded(made, machine, pin), None))
            rates["synthetic"].append(rate(repeat(made.stream.batch(0)), learner))
            rates["fed"].append(rate(loaded(made, machine, pin), learner))
        peak = torch.cuda.max_memory_allocated() / 2**30 if pin else 0.0
        where = torch.cuda.get_device_name() if pin else f"{torch.get_num_threads()} computing thread"
    loader, fed, synthetic = (median(rates[name]) for name in ("loader alone", "fed", "synthetic"))
    with capsys.disabled():
        kind = "threads" if made.stream.in_threads else "processes"
        print(
            f"\n{ARCHITECTURE}, {SIZE} px, {made.precision}, batches of {BATCH}, {where}, "
            f"{machine.workers} loader {kind}"
        )
        print(
            f"loader alone {loader:,.0f} images/s; synthetic {synthetic:,.0f}; fed {fed:,.0f}: {fed / synthetic:.2f}"
        )
        if pin:
            print(f"peak memory {peak:.1f} GiB")
    assert min(loader, fed, synthetic) > 0


def loaded(made: Job, machine: ComputeDevice, pin: bool) -> Iterator[Batch]:
    """Batches as training gets them."""
    return BatchLoader(made.stream, 0, WARM + STEPS + 1).load(machine.workers, pin)


def _learner(made: Job, machine: ComputeDevice) -> Trainer:
    network = make_backbone(ARCHITECTURE, made.outputs, 0)
    learner = Trainer(made, network, multi_label(MLImagesLossPart(), made.outputs, 0), machine)
    learner.train()
    return learner
