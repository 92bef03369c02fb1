"""Checking, locking and building need no torch; asking for a model without it says what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.photographs import crops

BLOCKED = """\
import importlib.util
import sys

EXTRA = ("torch", "torchvision", "torchmetrics", "safetensors", "tensorboard")

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRA:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in EXTRA else found(name, package)
from mlimg_build.cli import main
main()
"""


def mlimg(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command in a Python that has no torch."""
    command = [sys.executable, "-c", BLOCKED, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=240)


def test_all_but_training_works_without_torch(tmp_path: Path) -> None:
    for name, folder in (("chelsea", "tabby cat"), ("rocket", "rocket")):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops(name, 4)):
            (tmp_path / "images" / folder / f"{i}.jpg").write_bytes(data)
    assert mlimg("init", "mine.yaml", cwd=tmp_path).returncode == 0
    with (tmp_path / "mine.yaml").open("a") as stream:
        stream.write("\ntraining: {model: resnet18, epochs: 1}\n")
    for verb in ("check", "plan", "lock", "schema"):
        done = mlimg(verb, *(["mine.yaml"] if verb != "schema" else []), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    done = mlimg("build", "mine.yaml", "--until", "dataset", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["build/mine.zarr", "build/mine.html"]
    for verb in ("info", "verify", "report"):
        assert mlimg(verb, "build/mine.zarr", cwd=tmp_path).returncode == 0
    done = mlimg("build", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "error[torch-missing]" in done.stderr
    assert "mlimg[train]" in done.stderr
    assert done.stdout == "build/mine.zarr\n"
    done = mlimg("predict", "build/mine.model", "images", cwd=tmp_path)
    assert done.returncode == 1
    assert "torch-missing" in done.stderr
