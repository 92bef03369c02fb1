"""ResNet-101 on three real sources: it learns, repeats to the bit, and goes on after a kill as if it had not died."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.runs import THREE_SOURCES, backend

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.compiler.pipeline import build
from mlimg_build.spec import load_spec
from mlimg_build.training.loop.history import read_history

MLIMG = str(Path(sys.executable).with_name("mlimg"))
STEPS = 40
SPEC = (
    """\
mlimg: 1
name: three
version: 1.0.0
"""
    + THREE_SOURCES
    + """\
vocabulary:
  ancestors: common
dataset:
  images_per_shard: 2048
training:
  model: resnet101
  image_size: 64
  batch_size: 32
  epochs: 1
  steps_per_epoch: 40
  precision: bf16
  device: cpu
  gradient_clip: 10
  learning_rate: {{kind: cosine, base: 0.02, warm_up_epochs: 0}}
"""
)


def command(root: Path, dataset: Path) -> list[str]:
    """`mlimg train` on a dataset that is there, with a checkpoint every few steps."""
    (root / "often.yaml").write_text("training: {checkpoint_minutes: 0.1, keep_checkpoints: 2}\n")
    spec, often = str(root / "three.yaml"), str(root / "often.yaml")
    return [MLIMG, "train", spec, "--dataset", str(dataset), "--backend", often]


def losses(dataset: Path) -> dict[int, float]:
    """The loss of every step of the one run of a dataset."""
    (path,) = dataset.parent.glob("three.runs/*/history.jsonl")
    return {record["step"]: record["loss"] for record in read_history(path) if record["kind"] == "step"}


def saved(dataset: Path) -> int:
    """The step of the newest checkpoint; 0 without one."""
    found = dataset.parent.glob("three.runs/*/checkpoints/step-*.json")
    return max((int(path.stem.removeprefix("step-")) for path in found), default=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_resnet101_learns_repeats_and_resumes_on_three_sources(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "three.yaml").write_text(SPEC.format(data=shared_data))
    built = build(load_spec(tmp_path / "three.yaml"), tmp_path / "out", backend(2)).dataset
    copies = []
    for name in ("one", "two", "killed"):
        (tmp_path / name).mkdir()
        copies.append(shutil.copytree(built, tmp_path / name / "three.zarr", copy_function=os.link))
    for dataset in copies[:2]:
        done = subprocess.run(command(tmp_path, dataset), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        command(tmp_path, copies[2]), stderr=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and saved(copies[2]) < STEPS // 3:
        time.sleep(0.1)
    time.sleep(2)  # some steps into what will be lost
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = max(losses(copies[2]), default=0)
    assert 0 < before < STEPS
    done = subprocess.run(command(tmp_path, copies[2]), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "going on after step" in done.stderr
    one, two, killed = (losses(dataset) for dataset in copies)
    assert sorted(one) == list(range(1, STEPS + 1))
    assert one == two == killed
    assert len({(dataset.parent / "three.model/model.safetensors").read_bytes() for dataset in copies}) == 1
    values = np.array([one[step] for step in sorted(one)])
    first, last = (
        values[:5].mean(),
        values[-10:].mean(),
    )  # a step's loss also depends on the categories it draws
    assert last < 0.75 * first
    with capsys.disabled():
        print(
            f"\nkilled after step {before}; loss {values[0]:.0f}, of the first 5 {first:.0f}, of the last 10 {last:.0f}"
        )
