"""The focal and the asymmetric loss against the formulas of their papers, written out in Python's own floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import Tensor  # noqa: E402

from mlimg_build import spec, training  # noqa: E402
from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.spec import (  # noqa: E402
    AsymmetricLossPart,
    BinaryCrossEntropyPart,
    FocalLossPart,
    LoadedSpec,
)
from mlimg_build.training import (  # noqa: E402
    AsymmetricLoss,
    BinaryCrossEntropy,
    FocalLoss,
    MLImagesLoss,
    train,
)
from mlimg_build.training.loss.losses import make_loss  # noqa: E402
from tests.training.test_runs import losses, part, setting  # noqa: E402

MASKED = -1.0


def batch(images: int = 6, categories: int = 9, spread: float = 4.0) -> tuple[Tensor, Tensor]:
    """Logits and targets in float64: present, absent, of a confidence between, and masked ones."""
    chance = torch.Generator().manual_seed(5)
    logits = spread * torch.randn(images, categories, generator=chance, dtype=torch.float64)
    choices = torch.tensor([0.0, 1.0, 0.3, 0.85, MASKED], dtype=torch.float64)
    return logits, choices[torch.randint(5, (images, categories), generator=chance)]


def written_out(logits: Tensor, targets: Tensor, entry: Callable[[float, float], float]) -> float:
    """The sum over categories of the mean over images, entry by entry."""
    total = 0.0
    for image, row in zip(logits.tolist(), targets.tolist(), strict=True):
        for z, y in zip(image, row, strict=True):
            if y != MASKED:
                total += entry(1 / (1 + math.exp(-z)), y) / len(logits)
    return total


def test_every_loss_that_a_spec_can_name_is_one_that_training_has() -> None:
    assert spec.LOSSES.keys() == training.LOSSES.keys()
    for kind, model in spec.LOSSES.items():
        assert model.model_validate({"kind": kind}).kind == kind
        assert make_loss(model.model_validate({"kind": kind}), 3, 0)(*batch(4, 3)).ndim == 0


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_the_focal_loss_is_the_formula_of_its_paper(gamma: float, alpha: float | None) -> None:
    def entry(p: float, y: float) -> float:
        up, down = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        return -y * up * (1 - p) ** gamma * math.log(p) - (1 - y) * down * p**gamma * math.log(1 - p)

    logits, targets = batch()
    found = make_loss(FocalLossPart(kind="focal", gamma=gamma, alpha=alpha), 9, 0)(logits, targets)
    assert found.item() == pytest.approx(written_out(logits, targets, entry), rel=1e-12)


@pytest.mark.parametrize(("up", "down"), [(0.0, 4.0), (1.0, 4.0), (0.0, 0.5), (2.0, 0.0)])
@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3])
def test_the_asymmetric_loss_is_the_formula_of_its_paper(up: float, down: float, margin: float) -> None:
    def entry(p: float, y: float) -> float:
        shifted = max(p - margin, 0)
        return -y * (1 - p) ** up * math.log(p) - (1 - y) * shifted**down * math.log(1 - shifted)

    logits, targets = batch()
    part = AsymmetricLossPart(kind="asymmetric", gamma_positive=up, gamma_negative=down, margin=margin)
    found = make_loss(part, 9, 0)(logits, targets)
    assert found.item() == pytest.approx(written_out(logits, targets, entry), rel=1e-12)


LOSSES = [
    FocalLoss(gamma=2.0, alpha=0.25),
    FocalLoss(gamma=0.5),
    AsymmetricLoss(),
    AsymmetricLoss(gamma_positive=1.0, gamma_negative=0.5, margin=0.2),
    AsymmetricLoss(gamma_positive=1.0, gamma_negative=4.0, margin=0.0),
]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_gradient_is_that_of_the_loss(loss: torch.nn.Module) -> None:
    logits, targets = batch(3, 5)
    assert torch.autograd.gradcheck(lambda z: loss(z, targets), logits.requires_grad_())


@pytest.mark.parametrize(
    "loss",
    [FocalLoss(gamma=0.0), AsymmetricLoss(gamma_positive=0.0, gamma_negative=0.0, margin=0.0)],
    ids=lambda loss: type(loss).__name__,
)
def test_without_focusing_it_is_binary_cross_entropy(loss: torch.nn.Module) -> None:
    logits, targets = batch()
    plain = make_loss(BinaryCrossEntropyPart(kind="bce"), 9, 0)
    assert loss(logits, targets).item() == pytest.approx(plain(logits, targets).item(), rel=1e-14)


@pytest.mark.parametrize(
    "loss", [*LOSSES, BinaryCrossEntropy(), MLImagesLoss(2)], ids=lambda loss: type(loss).__name__
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_of_any_size_have_a_finite_loss_and_gradient(
    loss: torch.nn.Module, dtype: torch.dtype
) -> None:
    for size in (0.0, 20.0, 90.0, 200.0, 1e4, 1e30):
        logits = torch.tensor([[size, -size], [-size, size]], dtype=dtype, requires_grad=True)
        found = loss(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
        found.backward()
        assert found.dtype == torch.float32
        assert found.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_masked_label_teaches_nothing(loss: torch.nn.Module) -> None:
    logits, targets = batch()
    logits.requires_grad_()
    loss(logits, targets).backward()
    assert logits.grad is not None
    assert (logits.grad[targets == MASKED] == 0).all()
    assert (logits.grad[targets == 1] != 0).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_parts_of_a_batch_have_the_loss_of_the_batch(loss: torch.nn.Module) -> None:
    logits, targets = batch()
    parts = loss(logits[:2], targets[:2]) * 2 / 6 + loss(logits[2:], targets[2:]) * 4 / 6
    assert parts.item() == pytest.approx(loss(logits, targets).item(), rel=1e-14)


def test_an_absent_label_that_scores_below_the_margin_counts_nothing() -> None:
    loss = AsymmetricLoss(margin=0.05)
    low, high = torch.tensor([[-3.0]]), torch.tensor([[-2.0]])  # 0.047 and 0.119
    assert loss(low, torch.zeros(1, 1)).item() == 0
    assert loss(high, torch.zeros(1, 1)).item() > 0


def test_a_network_learns_with_any_loss_and_each_is_a_run_of_its_own(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    folders = set()
    for kind in spec.LOSSES:
        ran = train(setting(dataset, tmp_path), part(built[0], loss={"kind": kind}, epochs=3))
        told = losses(ran.folder)
        assert sum(told[step] for step in (10, 11, 12)) < sum(told[step] for step in (1, 2, 3)), kind
        assert ran.card.training["loss"]["kind"] == kind
        folders.add(ran.folder)
    assert len(folders) == len(spec.LOSSES)
