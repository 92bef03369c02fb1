"""A path that leads to nothing is told the name beside it that it was probably meant to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.cli import run
from mlimg_build.spec.suggestions import did_you_mean, similar_path
from tests.support.photographs import crops


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, data in zip(("dog", "cat"), crops("chelsea", 2, 32), strict=True):
        (tmp_path / "camera_dump" / name).mkdir(parents=True)
        (tmp_path / "camera_dump" / name / "a.jpg").write_bytes(data)
    (tmp_path / "classes.csv").write_text("dog,dog\n")
    return tmp_path


@pytest.mark.parametrize(
    ("written", "folder", "meant"),
    [
        ("camera_dmp", True, "camera_dump"),
        ("camera-dump", None, "camera_dump"),
        ("camera_dmp/dog", True, "camera_dump/dog"),
        ("camera_dmp/nothing", True, "camera_dump"),
        ("camera_dmp/*.tar", None, "camera_dump/*.tar"),
        ("clases.csv", False, "classes.csv"),
        ("clases.csv", True, None),
        ("camera_dump/d*", None, None),
        ("zebra", None, None),
    ],
)
def test_the_most_similar_path_that_is_there(
    root: Path, written: str, folder: bool | None, meant: str | None
) -> None:
    assert similar_path(root / written, folder=folder) == (meant and root / meant)


def test_the_name_alone_is_told_where_its_folder_is_right(root: Path) -> None:
    assert did_you_mean(root / "camera_dmp") == "did you mean camera_dump? "
    assert did_you_mean(root / "camera_dmp" / "dog") == f"did you mean {root}/camera_dump/dog? "
    assert did_you_mean(root / "zebra") == ""


LINES = {
    "folder": "{type: folder, images: camera_dmp}",
    "imagenet": "{type: imagenet, images: camera_dmp}",
    "classes": "{type: folder, images: camera_dump, classes: clases.csv}",
    "table": "{type: table, table: clases.csv, images: camera_dump}",
    "parquet": "{type: parquet, images: camera_dmp}",
    "coco": "{type: coco, annotations: [clases.csv], images: camera_dump}",
}


@pytest.mark.parametrize("command", ["check", "plan", "build", "lint", "map", "lock"])
@pytest.mark.parametrize("kind", LINES)
def test_every_command_says_what_a_path_was_meant_to_be(
    root: Path, kind: str, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    Path("x.yaml").write_text(f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {LINES[kind]}\n")
    assert run([command, "x.yaml"]) != 0
    meant = "classes.csv" if "clases" in LINES[kind] else "camera_dump"
    assert f"did you mean {meant}?" in capsys.readouterr().err


def test_a_spec_is_told_too(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    Path("defects.yaml").write_text("")
    assert run(["check", "defcts.yaml"]) != 0
    assert "did you mean defects.yaml?" in capsys.readouterr().err
