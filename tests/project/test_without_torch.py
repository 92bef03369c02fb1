"""Checking, locking and building need no torch; asking for a model without it says what is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.photographs import crops

BLOCKED = """\
import contextlib, importlib.util, io, json, sys

EXTRA = ("torch", "torchvision", "torchmetrics", "safetensors", "tensorboard")

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRA:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoTorch())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in EXTRA else found(name, package)
from mlimg_build.cli import main

if __name__ == "__main__":
    ended = []
    for arguments in json.loads(sys.argv[1]):
        sys.argv = ["mlimg", *arguments]
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main()
            except SystemExit as stop:
                code = stop.code or 0
        ended.append((code, out.getvalue(), err.getvalue()))
    print(json.dumps(ended))
"""


def test_all_but_training_works_without_torch(tmp_path: Path) -> None:
    for name, folder in (("chelsea", "tabby cat"), ("rocket", "rocket")):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops(name, 4)):
            (tmp_path / "images" / folder / f"{i}.jpg").write_bytes(data)
    (tmp_path / "blocked.py").write_text(BLOCKED)
    (tmp_path / "inline.yaml").write_text("cluster: {type: inline}\n")

    def mlimg(*commands: str) -> list[tuple[int, str, str]]:
        """Exit status, stdout and stderr of each command, in one Python that has no torch."""
        command = [sys.executable, "blocked.py", json.dumps([one.split() for one in commands])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=240)
        assert done.returncode == 0, done.stderr
        return [(code, out, err) for code, out, err in json.loads(done.stdout)]

    assert mlimg("init mine.yaml")[0][0] == 0
    with (tmp_path / "mine.yaml").open("a") as stream:
        stream.write("\ntraining: {model: resnet18, epochs: 1}\n")
    datasets = [f"{verb} build/mine.zarr" for verb in ("info", "verify", "report")]
    *well, built, model, scores = mlimg(
        *("check mine.yaml", "plan mine.yaml", "lock mine.yaml --backend inline.yaml", "schema"),
        *("build mine.yaml --until dataset", *datasets),
        *("build mine.yaml --until dataset", "build mine.yaml", "predict build/mine.model images"),
    )
    assert [(code, err) for code, _, err in well if code] == []
    assert built[1].splitlines() == ["build/mine.zarr", "build/mine.html"]
    assert model[0] == scores[0] == 1
    assert "error[torch-missing]" in model[2]
    assert "mlimg[train]" in model[2]
    assert model[1] == "build/mine.zarr\n"
    assert "torch-missing" in scores[2]
