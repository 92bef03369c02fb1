"""Checkpoints are written while the run goes on, with all that was promised of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset  # noqa: E402
from mlimg_build.errors import DatasetError, Interrupted, LossNotFinite, Problem  # noqa: E402
from mlimg_build.spec import LoadedSpec, TrainingBackend  # noqa: E402
from mlimg_build.training import train  # noqa: E402
from mlimg_build.training.loop import checkpoints, loop  # noqa: E402
from mlimg_build.training.loop.history import read_history  # noqa: E402
from mlimg_build.training.loop.snapshot import Snapshot  # noqa: E402
from tests.training.test_not_finite import third, with_infinite_gradient  # noqa: E402
from tests.training.test_runs import HERE, part, setting  # noqa: E402

EACH_EPOCH = TrainingBackend(loader_workers=0, checkpoint_minutes=60, keep_checkpoints=100, keep_finished=100)
SAVE = checkpoints.save


def saved(folder: Path) -> dict[str, Any]:
    """The state of each checkpoint of the only run in a folder."""
    return {path.stem: checkpoints.load(path) for path in sorted(folder.glob("*/checkpoints/*.pt"))}


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Everything in nested dicts and lists, by its place."""
    if isinstance(value, dict):
        return {k: v for name, one in value.items() for k, v in flat(one, f"{place}/{name}").items()}
    if isinstance(value, list):
        return {k: v for i, one in enumerate(value) for k, v in flat(one, f"{place}/{i}").items()}
    return {place: value}


def differing(one: Any, two: Any) -> list[str]:
    """The places at which two states differ by a bit."""
    first, second = flat(one), flat(two)
    assert set(first) == set(second)
    return [
        place
        for place, value in first.items()
        if not (
            torch.equal(value, second[place]) if isinstance(value, torch.Tensor) else value == second[place]
        )
    ]


def test_the_run_goes_on_while_a_checkpoint_is_written_which_is_of_its_own_step(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(setting(dataset, tmp_path / "plain", EACH_EPOCH), part(built[0], ema=0.9))
    stepped, waited = {step: Event() for step in range(1, 9)}, []
    learn_batch = loop.learn_batch

    def learning(batch: Any, learner: Any) -> Any:
        told = learn_batch(batch, learner)
        stepped[batch.step + 1].set()
        return told

    def slow(folder: Path, step: int, state: dict[str, Any]) -> Path:
        if step == 4:
            waited.append(stepped[6].wait(20))
        return SAVE(folder, step, state)

    monkeypatch.setattr(loop, "learn_batch", learning)
    monkeypatch.setattr(checkpoints, "save", slow)
    train(setting(dataset, tmp_path / "slow", EACH_EPOCH), part(built[0], ema=0.9))
    assert waited == [True]
    plain, beside = saved(tmp_path / "plain"), saved(tmp_path / "slow")
    assert list(beside) == list(plain) == ["step-00000004", "step-00000008"]
    assert differing(beside, plain) == []


@pytest.mark.parametrize("failing", [4, 8])
def test_a_full_disk_ends_the_run_at_the_next_step_or_its_end(
    built: tuple[LoadedSpec, Path],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: int,
) -> None:
    def full(folder: Path, step: int, state: dict[str, Any]) -> Path:
        if step == failing:
            raise DatasetError(Problem("disk-full", "there is no room"))
        return SAVE(folder, step, state)

    monkeypatch.setattr(checkpoints, "save", full)
    with pytest.raises(DatasetError) as caught:
        train(setting(dataset, tmp_path, HERE), part(built[0]))
    assert caught.value.code == "disk-full"
    assert list(saved(tmp_path)) == [f"step-{step:08}" for step in range(1, failing)]
    history = read_history(next(tmp_path.glob("*/history.jsonl")))
    assert max(one["step"] for one in history) <= min(failing + 1, 8)


def test_who_stops_a_run_gets_its_checkpoint(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "save", slowly)
    asked: list[int] = []

    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        yield lambda: asked.append(1) or len(asked) == 2  # type: ignore[func-returns-value]

    monkeypatch.setattr(loop, "_stopping", stopping)
    with pytest.raises(Interrupted):
        train(setting(dataset, tmp_path, EACH_EPOCH), part(built[0]))
    assert list(saved(tmp_path)) == ["step-00000002"]


def slowly(folder: Path, step: int, state: dict[str, Any]) -> Path:
    time.sleep(0.3)
    return SAVE(folder, step, state)


@pytest.mark.slow
def test_ctrl_c_while_a_checkpoint_is_waited_for_does_not_end_the_run_before_it_is_written(
    tmp_path: Path,
) -> None:
    """A second one does; until then the folder is locked, and nobody else begins in it."""
    code = (
        "import os, signal, sys, threading, time\n"
        "from pathlib import Path\n"
        "from mlimg_build.spec import TrainingBackend\n"
        "from mlimg_build.training.loop.checkpoint_policy import CheckpointPolicy\n"
        "done = threading.Event()\n"
        "def slow(folder, step, state):\n"
        "    time.sleep(1.5); done.set()\n"
        "class Learner: job = None; state = dict\n"
        "import mlimg_build.training.loop.checkpoint_policy as module\n"
        "module.position_of = lambda job: {}\n"
        "module.checkpoints.save, module.checkpoints.prune = slow, lambda *_: None\n"
        "policy = CheckpointPolicy(Path(sys.argv[1]), TrainingBackend())\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    with policy:\n"
        "        policy.save(1, Learner())\n"
        "        policy.wait()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', done.is_set())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.split() == ["interrupted", "True"], ran.stderr


def test_who_stops_a_run_whose_checkpoint_fails_is_told_so(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, step: int, state: dict[str, Any]) -> Path:
        time.sleep(0.1)
        raise DatasetError(Problem("disk-full", "there is no room"))

    @contextmanager
    def stopping() -> Iterator[Callable[[], bool]]:
        yield lambda: True

    monkeypatch.setattr(checkpoints, "save", full)
    monkeypatch.setattr(loop, "_stopping", stopping)
    with pytest.raises(DatasetError) as caught:
        train(setting(dataset, tmp_path, EACH_EPOCH), part(built[0]))
    assert caught.value.code == "disk-full"


def test_a_checkpoint_in_writing_is_whole_when_a_later_loss_is_not_finite(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "save", slowly)
    third(monkeypatch, with_infinite_gradient)
    with pytest.raises(LossNotFinite):
        train(setting(dataset, tmp_path, HERE), part(built[0]))
    assert list(saved(tmp_path)) == ["step-00000001", "step-00000002"]


def test_a_snapshot_shares_nothing_with_the_state_and_keeps_its_kinds() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.rand(2, 3, 5, 5)).square().sum().backward()
    optimizer.step()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "more": [1, (2, None)]}
    held = Snapshot(state).read()
    before = {place: value.clone() for place, value in flat(state).items() if isinstance(value, torch.Tensor)}
    assert held["network"]._metadata == state["network"]._metadata
    assert held["network"]["0.weight"].stride() == network[0].weight.stride()
    with torch.no_grad():
        for value in flat(state).values():
            if isinstance(value, torch.Tensor):
                value.add_(1)
    optimizer.param_groups[0]["lr"] = 7.0
    after = flat(held)
    assert all(torch.equal(after[place], value) for place, value in before.items())
    assert held["optimizer"]["param_groups"][0]["lr"] == 0.1
    assert held["more"] == [1, (2, None)]
