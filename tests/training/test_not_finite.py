"""A gradient or loss that is not finite: the step is not taken, the run says which, checkpoints stay usable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from torch import Tensor  # noqa: E402

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import LossNotFinite  # noqa: E402
from mlimg_build.spec import LoadedSpec, TrainingBackend  # noqa: E402
from mlimg_build.training import train  # noqa: E402
from mlimg_build.training.loop import checkpoints, loop, trainer  # noqa: E402
from mlimg_build.training.loss.ml_images import MLImagesLoss  # noqa: E402
from tests.training.test_runs import HERE, part, setting  # noqa: E402

SELDOM = TrainingBackend(loader_workers=0, checkpoint_minutes=60)


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[trainer.Trainer]:
    """Each network in training, as it is made."""
    made: list[trainer.Trainer] = []

    def remembered(*arguments: Any) -> trainer.Trainer:
        made.append(trainer.Trainer(*arguments))
        return made[-1]

    monkeypatch.setattr(loop, "Trainer", remembered)
    return made


def third(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    """Change the logits of the third step."""
    calls: list[int] = []
    forward = MLImagesLoss.forward

    def changed(self: MLImagesLoss, logits: Tensor, targets: Tensor) -> Tensor:
        calls.append(1)
        return forward(self, change(logits) if len(calls) == 3 else logits, targets)

    monkeypatch.setattr(MLImagesLoss, "forward", changed)


def with_infinite_gradient(logits: Tensor) -> Tensor:
    """The same logits; their gradient is infinite."""
    same = logits * 1.0
    same.register_hook(lambda gradient: gradient * torch.inf)
    return same


@pytest.mark.few(2)
@pytest.mark.parametrize("fused", [(), ("cpu",)], ids=["host", "device"])
@pytest.mark.parametrize("backend", [HERE, SELDOM], ids=["each step", "later"])
def test_an_infinite_gradient_with_a_finite_loss_is_not_stepped_on(
    built: tuple[LoadedSpec, Path],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trainers: list[trainer.Trainer],
    backend: TrainingBackend,
    fused: tuple[str, ...],
) -> None:
    """Whenever its loss is read, and whether this process or the optimizer on the device decides."""
    monkeypatch.setattr(trainer, "FUSED", fused)
    train(setting(dataset, tmp_path / "whole", HERE), part(built[0], ema=0.9))
    third(monkeypatch, with_infinite_gradient)
    with pytest.raises(LossNotFinite) as caught:
        train(setting(dataset, tmp_path / "broken", backend), part(built[0], ema=0.9))
    assert caught.value.code == "gradient-not-finite"
    assert "step 3 " in str(caught.value)
    assert "synsets/" in str(caught.value)
    saved = [sorted((tmp_path / name).glob("*/checkpoints/*.pt")) for name in ("whole", "broken")]
    assert [path.stem for path in saved[1]] == (["step-00000001", "step-00000002"] if backend is HERE else [])
    before = checkpoints.load(saved[0][1])
    assert before["step"] == 2
    after = trainers[-1]
    for name, value in after.network.named_parameters():
        assert torch.equal(value, before["network"][name])
    momenta = after.optimizer.state_dict()["state"]
    assert all(
        torch.equal(momenta[number]["momentum_buffer"], one["momentum_buffer"])
        for number, one in before["optimizer"]["state"].items()
    )
    if not fused:
        assert after.average is not None
        assert all(
            torch.equal(value, before["average"][name]) for name, value in after.average.named_parameters()
        )


def test_a_loss_that_is_not_finite_is_not_stepped_on_and_the_last_checkpoint_goes_on(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        third(patch, lambda logits: logits * torch.nan)
        with pytest.raises(LossNotFinite) as caught:
            train(setting(dataset, tmp_path, HERE), part(built[0]))
    assert caught.value.code == "loss-not-finite"
    whole = train(setting(dataset, tmp_path / "whole", HERE), part(built[0]))
    again = train(setting(dataset, tmp_path, HERE), part(built[0]))
    assert again.card.digests["weights"] == whole.card.digests["weights"]
