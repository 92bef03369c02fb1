"""A step of training gives a GPU its work and does not wait for it; "meta" stands for the GPU here."""

from __future__ import annotations

from typing import Any, cast

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn  # noqa: E402

from mlimg_build.spec import LearningRate, Optimizer  # noqa: E402
from mlimg_build.spec.models.losses import LOSSES  # noqa: E402
from mlimg_build.training import Batch, BatchPlan, Job, SparseLabels  # noqa: E402
from mlimg_build.training.devices import ComputeDevice  # noqa: E402
from mlimg_build.training.loop import trainer  # noqa: E402
from mlimg_build.training.loop.moving_average import MovingAverage  # noqa: E402
from mlimg_build.training.loss.objectives import Objective, SingleLabel, multi_label  # noqa: E402
from mlimg_build.training.model.backbones import make_backbone  # noqa: E402
from tests.support.waits import META, Waits  # noqa: E402

IMAGES, CATEGORIES, SIDE = 10, 7, 32
KINDS = [(kind, unknown) for kind in sorted(LOSSES) for unknown in ("masked", "absent")] + [("softmax", "")]


def tiny_job(**changes: Any) -> Job:
    """A run with a moving average, clipping and parts of a batch, without a dataset."""
    settings: dict[str, Any] = {
        "name": "training",
        "key": "",
        "digests": {},
        "architecture": "resnet18",
        "outputs": CATEGORIES,
        "stream": cast(BatchPlan, None),
        "steps_per_epoch": 4,
        "epochs": 1,
        "rate": LearningRate(base=0.01),
        "optimizer": Optimizer(),
        "precision": "fp32",
        "micro_batch": 5,
        "gradient_clip": 1.0,
        "ema": 0.9,
        "frozen_stages": 0,
        "seed": 0,
    }
    return Job(**settings | changes)


def tiny_batch(step: int, images: int = IMAGES, side: int = SIDE) -> Batch:
    """Images of noise, each with one present and one absent label."""
    random = torch.Generator().manual_seed(step)
    image = torch.arange(images).repeat(2)
    category = torch.cat([torch.arange(images) % CATEGORIES, (torch.arange(images) + 3) % CATEGORIES])
    target = torch.cat([torch.ones(images), torch.zeros(images)])
    pixels = torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=random)
    return Batch(step, torch.arange(images), pixels, SparseLabels(image, category, target))


def objective_of(kind: str, unknown: str) -> Objective:
    if kind == "softmax":
        return SingleLabel()
    return multi_label(LOSSES[kind](kind=kind, unknown=unknown), CATEGORIES, 0)


@pytest.mark.few(3)
@pytest.mark.parametrize(("kind", "unknown"), KINDS)
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch, kind: str, unknown: str) -> None:
    found = waits_of_a_step(monkeypatch, "resnet18", objective_of(kind, unknown))
    assert found == []


def test_pixels_scaled_by_channel_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("timm", reason="the extra `timm` is not installed")
    assert waits_of_a_step(monkeypatch, "timm/test_resnet.r160_in1k", SingleLabel()) == []


def waits_of_a_step(
    monkeypatch: pytest.MonkeyPatch, architecture: str, objective: Objective, **changes: Any
) -> list[str]:
    """What the second and third step wait for."""
    waits = Waits(monkeypatch)
    monkeypatch.setattr(trainer, "FUSED", ("meta",))
    backbone = make_backbone(architecture, CATEGORIES, 0)
    learner = trainer.Trainer(tiny_job(**changes), backbone, objective, ComputeDevice(META, 0, compile=False))
    learner.train()
    with waits.counted() as found:
        learner.learn(tiny_batch(0))
        found.clear()
        for step in (1, 2):
            learner.learn(tiny_batch(step))
    return found


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda there: there.sum().item(), "a value is read"),
        (lambda there: bool(there.sum() > 0), "a value is read"),
        (lambda there: there.copy_(torch.zeros(2)), "(2,) are copied from cpu to meta"),
        (lambda there: torch.tensor([1.0], device=META), "tensor on the device"),
        (
            lambda there: torch.zeros(2).to(META, non_blocking=True),
            "(2,) are copied to meta from memory that is not pinned",
        ),
        (lambda there: there[torch.tensor([1])], "indices are copied"),
    ],
)
def test_each_kind_of_wait_is_found(monkeypatch: pytest.MonkeyPatch, act: Any, told: str) -> None:
    waits, there = Waits(monkeypatch), torch.zeros(2, device=META)
    with waits.counted() as found:
        act(there)
    assert found == [told]
    with waits.counted(), pytest.raises(AssertionError, match="a mask selects entries"):
        there[there > 0]


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.9999])
def test_the_moving_average_is_torchs_own_to_the_bit(decay: float) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    ours, own = (
        MovingAverage(network, decay),
        AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True),
    )
    for step in range(4):
        network(torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(step)))
        with torch.no_grad():
            network[0].weight.mul_(1.1)
        for average in (ours, own):
            average.update_parameters(network)
    assert list(ours.state_dict()) == list(own.state_dict())
    assert all(torch.equal(value, own.state_dict()[name]) for name, value in ours.state_dict().items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize(("kind", "unknown"), KINDS)
def test_no_step_waits_for_a_gpu(kind: str, unknown: str, compiles: bool) -> None:
    gpu = torch.device("cuda")
    job = tiny_job(precision="bf16")
    learner = trainer.Trainer(
        job,
        make_backbone("resnet18", CATEGORIES, 0),
        objective_of(kind, unknown),
        ComputeDevice(gpu, 0, compiles),
    )
    learner.train()
    for step in (0, 1):
        learner.learn(tiny_batch(step))
    torch.cuda.set_sync_debug_mode("error")
    try:
        told = learner.learn(tiny_batch(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert told.isfinite().all()
