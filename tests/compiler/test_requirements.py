"""`require` of a spec: what is below ends a build with exit 4, and everything is kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.requirements import require_model
from mlimg_build.errors import MlimgError
from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.photographs import crops

SPEC = "mlimg: 1\nname: few\nversion: 1.0.0\nsources: {s: {type: folder, images: img}}\nsplit: {validation: 0.2}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four photographs, of which one is cut."""
    (tmp_path / "img" / "dog").mkdir(parents=True)
    for number, data in enumerate(crops("chelsea", 4)):
        whole = len(data) if number else len(data) // 2
        (tmp_path / "img" / "dog" / f"{number}.jpg").write_bytes(data[:whole])
    return tmp_path


def built(root: Path, require: str, *more: str) -> int:
    (root / "spec.yaml").write_text(f"{SPEC}require: {require}\n")
    return run(["build", f"{root}/spec.yaml", "-o", f"{root}/out", "--backend", "inline", "-q", *more])


def test_what_is_below_ends_with_4_and_is_kept(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(root, "{images_with_bytes: 0.98, mapping_reviewed: 1.0, categories: 1, images: 9}") == 4
    said = capsys.readouterr()
    assert "images_with_bytes is 0.75, and 0.98 is required" in said.err
    assert "mapping_reviewed is 0, and 1 is required" in said.err
    assert "images is 4, and 9 is required" in said.err
    assert "categories is" not in said.err
    assert "spec.yaml:6:" in said.err
    assert (root / "out" / "few.zarr" / "zarr.json").is_file()
    assert (root / "out" / "few.html").is_file()
    assert said.out.splitlines() == [f"{root}/out/few.zarr", f"{root}/out/few.html"]


def test_what_is_reached_ends_with_0(root: Path) -> None:
    assert built(root, "{images_with_bytes: 0.75, images: 4, images_labelled: 1.0, categories: 1}") == 0


def test_scripts_get_one_object_with_the_problems(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert built(root, "{images: 9}", "--json") == 4
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 4
    assert [problem["code"] for problem in told["problems"]] == ["below-required"]
    assert told["images"] == 4
    assert "Traceback" not in (root / "out" / "few.log").read_text()


def test_a_fraction_is_checked_only_where_the_spec_says_so(root: Path) -> None:
    more = "dataset: {images_per_shard: 1}\n"
    for rule, code in (("{images: 4}", 0), ("{images: 4, at_fraction: true}", 4)):
        (root / "spec.yaml").write_text(f"{SPEC}{more}require: {rule}\n")
        arguments = [
            "build",
            f"{root}/spec.yaml",
            "-o",
            f"{root}/out",
            "--backend",
            "inline",
            "--fraction",
            "0.1",
        ]
        assert run(arguments) == code


@pytest.mark.parametrize(
    ("require", "said"),
    [
        ("{validation_map: 0.4}", "there is no training"),
        ("{transfer_top1: 0.4}", "there is no transfer"),
        ("{images_with_bytes: 98}", "at most 1"),
        ("{image_with_bytes: 0.9}", "no key"),
    ],
)
def test_what_cannot_be_required_is_an_error_of_the_spec(root: Path, require: str, said: str) -> None:
    (root / "spec.yaml").write_text(f"{SPEC}require: {require}\n")
    with pytest.raises(MlimgError) as caught:
        load_spec(root / "spec.yaml")
    assert said in str(caught.value)


def with_model(root: Path, require: str) -> LoadedSpec:
    (root / "spec.yaml").write_text(f"{SPEC}training: {{}}\ntransfer: {{source: s}}\nrequire: {require}\n")
    return load_spec(root / "spec.yaml")


@pytest.mark.parametrize(
    ("evaluation", "transfer", "below"),
    [
        (None, None, ["validation_map is 0"]),
        ({"unknown_as_absent": {"map": 0.39}, "verified": {"map": None}}, None, ["validation_map is 0.39"]),
        (
            {"unknown_as_absent": {"map": 0.41}, "verified": {"map": None}},
            {"top1": 0.5},
            ["transfer_top1 is 0.5"],
        ),
        ({"unknown_as_absent": {"map": 0.4}, "verified": {"map": 0.1}}, {"top1": 0.7}, []),
    ],
)
def test_a_model_has_to_reach_its_own(
    root: Path, evaluation: dict[str, Any] | None, transfer: dict[str, Any] | None, below: list[str]
) -> None:
    loaded = with_model(root, "{validation_map: 0.4, transfer_top1: 0.6, images: 10}")
    made = cast(Any, SimpleNamespace(evaluation=evaluation, transfer=transfer))
    found = require_model(loaded, made, 1.0)
    assert [problem.message.split(",")[0] for problem in found] == below
    assert require_model(loaded, made, 0.1) == []
