"""Runs that are killed or interrupted, as a person would see them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.spec import LoadedSpec
from tests.support.command import mlimg
from tests.training.test_runs import losses

MLIMG = str(Path(sys.executable).with_name("mlimg"))


def until(condition: Any, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(loaded: LoadedSpec, dataset: Path, folder: Path, workers: int = 1) -> list[str]:
    """`mlimg train` with a checkpoint after every step."""
    backend = folder / "backend.yaml"
    backend.write_text(
        f"training: {{checkpoint_minutes: 0, loader_workers: {workers}, keep_checkpoints: 3}}\n"
    )
    return [
        MLIMG,
        "train",
        loaded.path,
        "--dataset",
        str(dataset),
        "--until",
        "model",
        "--backend",
        str(backend),
    ]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_training_that_is_killed_goes_on_with_the_same_losses(
    built: tuple[LoadedSpec, Path], tmp_path: Path, number: signal.Signals
) -> None:
    loaded, path = built
    copies = []
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        copies.append(shutil.copytree(path, tmp_path / name / "small.zarr"))
    whole, killed = copies
    here = (
        "train",
        loaded.path,
        "--until",
        "model",
        "--dataset",
    )  # in this process, without loaders of its own
    done = mlimg(*here, whole)
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        command(loaded, killed, tmp_path), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(
        lambda: (
            process.poll() is not None
            or any(killed.parent.glob("small.runs/*/checkpoints/step-00000003.json"))
        )
    )
    os.killpg(process.pid, number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL), told
    assert "Traceback" not in told
    assert not (killed.parent / "small.model").exists()
    done = mlimg(*here, killed)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stderr
    runs = [next(copy.parent.glob("small.runs/*/history.jsonl")).parent for copy in copies]
    assert losses(runs[0]) == losses(runs[1])
    assert sorted(losses(runs[1])) == list(range(1, 9))
    assert len({(copy.parent / "small.model/model.safetensors").read_bytes() for copy in copies}) == 1
    assert any((runs[1] / "tensorboard").iterdir())
