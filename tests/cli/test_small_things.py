"""Short options, quiet and verbose runs, the log beside a build, the time left at 80 columns."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from mlimg_build.cli import run
from mlimg_build.terminal import build_progress
from tests.support.photographs import crops

SPEC = "mlimg: 1\nname: few\nversion: 1.0.0\nsources: {s: {type: folder, images: img}}\n"


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "img" / "dog").mkdir(parents=True)
    for number, data in enumerate(crops("chelsea", 2)):
        (tmp_path / "img" / "dog" / f"{number}.jpg").write_bytes(data)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return str(tmp_path / "spec.yaml")


def built(spec: str, *more: str) -> int:
    return run(["build", spec, "-o", str(Path(spec).with_name("out")), "--backend", "inline", *more])


def test_quiet_shows_no_progress_and_keeps_results(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(spec, "-q") == 0
    said = capsys.readouterr()
    assert "reading source" not in said.err
    assert said.out.splitlines()[0].endswith("few.zarr")
    assert built(spec) == 0
    assert "reading source s" in capsys.readouterr().err


def test_every_build_is_logged_beside_its_dataset(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(spec, "-q") == 0
    assert built(spec, "-v") == 0
    said = capsys.readouterr().err
    log = Path(spec).with_name("out") / "few.log"
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR)", line) for line in lines)
    assert sum("reading source s" in line for line in lines) == 2
    assert sum(" digest " in line for line in lines) == 2
    assert "done after" in lines[-1]
    assert said.splitlines()[-1].endswith(lines[-1])
    assert said.count("reading source s") == 1
    (Path(spec).parent / "img" / "dog").rename(Path(spec).parent / "gone")
    assert built(spec, "-q") == 1
    lines = log.read_text().splitlines()
    assert "ERROR" in lines[-2]
    assert "source-empty" in lines[-2]
    assert "failed after" in lines[-1]


@pytest.mark.parametrize("line", ["-h", "build -h", "cache -h", "wordnet -h", "map -h"])
def test_h_is_help_everywhere(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 0
    assert capsys.readouterr().out.startswith("Usage: mlimg")


def test_the_package_is_a_program() -> None:
    command = [sys.executable, "-m", "mlimg_build", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("mlimg ")


def test_completion_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "--install-completion" in capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 120])
def test_the_time_left_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    console = Console(force_terminal=True, width=width, file=shown, color_system=None)
    monkeypatch.setattr(build_progress, "err", console)
    with build_progress.Watcher() as watcher:
        hear = watcher.follow(1_234_567, 321)
        watcher.started -= 300
        hear(SimpleNamespace(said="", images=456_789, bytes=45_000_000_000, failed=12, shards=100))
        watcher.bars.refresh()
    lines = [
        line for line in re.split(r"[\r\n]", re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", shown.getvalue())) if line
    ]
    assert all(len(line.rstrip()) <= width for line in lines)
    assert any(line.rstrip().endswith("8 min 31 s left") for line in lines if "images" in line)


def test_no_more_images_are_counted_than_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = build_progress.Watcher()
    hear = watcher.follow(100, 2)
    hear(SimpleNamespace(said="", images=80, bytes=1, failed=0, shards=1))
    hear(SimpleNamespace(said="", images=80, bytes=1, failed=0, shards=1))
    assert "100 of 100 images, 2 of 2 tasks" in capsys.readouterr().err
