"""On a CUDA device: bf16 with torch.compile trains, resumes, and repeats to the bit where that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.test_runs import losses, part, setting

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import LossNotFinite  # noqa: E402
from mlimg_build.spec import LoadedSpec, TrainingBackend  # noqa: E402
from mlimg_build.training import train, transfer  # noqa: E402
from mlimg_build.training.loop import checkpoints  # noqa: E402
from mlimg_build.training.loop.loss_log import _Told  # noqa: E402
from tests.training.test_not_finite import third, with_infinite_gradient  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
FAST = TrainingBackend(loader_workers=2, checkpoint_minutes=0, keep_checkpoints=100, keep_finished=100)
EXACT = TrainingBackend(
    loader_workers=2,
    checkpoint_minutes=0,
    keep_checkpoints=100,
    keep_finished=100,
    compile=False,
    deterministic=True,
)


def test_a_compiled_network_trains_evaluates_and_is_tuned(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    on_gpu = part(built[0], device="cuda", precision="bf16", ema=0.9, micro_batch=8)
    ran = train(setting(dataset, tmp_path, FAST), on_gpu)
    values = list(losses(ran.folder).values())
    assert values[-1] < values[0]
    assert ran.evaluation is not None
    spec = built[0].spec.transfer
    assert spec is not None
    tuned = transfer(setting(dataset, tmp_path, FAST), spec.model_copy(update={"device": "cuda"}), ran)
    assert tuned.evaluation is not None
    assert tuned.evaluation["scratch"]


def test_a_resumed_run_repeats_to_the_bit_where_that_is_asked_for(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    on_gpu = part(built[0], device="cuda", precision="bf16")
    whole = train(setting(dataset, tmp_path / "whole", EXACT), on_gpu)
    again = train(setting(dataset, tmp_path / "again", EXACT), on_gpu)
    assert again.card.digests["weights"] == whole.card.digests["weights"]
    middle = whole.folder / "checkpoints" / "step-00000003.pt"
    resumed = train(setting(dataset, tmp_path / "resumed", EXACT), on_gpu, start=middle)
    assert resumed.card.digests["weights"] == whole.card.digests["weights"]


def test_gpu_and_cpu_agree_on_the_first_losses(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    gpu = train(setting(dataset, tmp_path / "gpu", EXACT), part(built[0], device="cuda", epochs=1))
    cpu = train(setting(dataset, tmp_path / "cpu"), part(built[0], device="cpu", epochs=1))
    one, two = losses(gpu.folder), losses(cpu.folder)
    assert one[1] == pytest.approx(two[1], rel=1e-3)
    assert one[2] == pytest.approx(two[2], rel=5e-2)


@pytest.mark.parametrize("backend", [FAST, EXACT], ids=["compiled", "deterministic"])
def test_an_infinite_gradient_leaves_the_weights_alone_without_a_wait(
    built: tuple[LoadedSpec, Path],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: TrainingBackend,
) -> None:
    on_gpu = part(built[0], device="cuda", epochs=1)
    third(monkeypatch, with_infinite_gradient)
    with pytest.raises(LossNotFinite) as caught:
        train(setting(dataset, tmp_path, backend), on_gpu)
    assert caught.value.code == "gradient-not-finite"
    assert "step 3 " in str(caught.value)
    newest = checkpoints.latest(next(tmp_path.iterdir()) / "checkpoints")
    assert newest is not None
    state = checkpoints.load(newest)
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["network"].values())


def test_an_early_loss_is_read_while_later_work_runs() -> None:
    told = _Told(torch.tensor([1.0, 2.0], device="cuda"))
    torch.cuda._sleep(2_000_000_000)  # about a second
    after = torch.cuda.Event()
    after.record()
    assert told.read() == [1.0, 2.0]
    assert not after.query()
