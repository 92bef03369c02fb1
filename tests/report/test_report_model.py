"""The part of the page about a model: what its folder says, and nothing where the folder makes no sense."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.compiler.report_stage import write_report
from mlimg_build.report import read_model
from tests.report.test_report_page import figures
from tests.support.html_page import EVIL, Element, parse, section
from tests.support.model_folder import write_model

FILES = (
    "model.json",
    "history.jsonl",
    "evaluation.json",
    "transfer/evaluation.json",
    "transfer/history.jsonl",
)
DAMAGE = [
    b"",
    b"{",
    b"\xff\xfe\x00garbage",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"{}",
    b'{"format": "another/9"}',
    b'{"format": "mlimg-model/1", "digests": 3}',
    b'{"format": "mlimg-evaluation/1", "kind": "multi_label", "categories": 1e999}',
    b'{"kind": "step", "step": "x", "loss": []}',
    b"[" * 100_000,
]


@pytest.fixture(scope="module")
def model(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "hand.model", plain)


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "copy.model")


def written(dataset: Path, to: Path, model: Path) -> Element:
    """The page, parsed."""
    return parse(write_report(dataset, to, model).read_text())


def edited(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_the_figures_are_those_of_the_evaluation(everything: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "hand.model", everything)
    part = section(written(everything, tmp_path / "report.html", model), "model")
    shown = figures(part)
    assert shown["mAP, verified labels only"] == ["0.714", "20 categories · baseline 0.410"]
    assert shown["mAP, unknown taken as absent"][0] == "0.583"
    assert shown["precision at 5"] == ["74.0 %", "recall 58.0 %"]
    assert shown["hierarchy inversions"] == ["2.3 %", "0.4 % where the lower scores 0.5 or more"]
    assert shown["top-1, pretrained here"] == ["68.4 %"]
    assert shown["top-1, from scratch"] == ["40.2 %"]
    titles = {title.text for title in part.all("h3")}
    assert {"Loss", "Learning rate", "Validation mAP", "mAP by frequency", "Top-1 accuracy"} <= titles
    assert len(part.all("svg")) == 6
    assert not part.all("p", "notice")


def test_a_model_beside_the_dataset_is_found(plain: Path, model: Path, tmp_path: Path) -> None:
    dataset = shutil.copytree(plain, tmp_path / "x.zarr")
    shutil.copytree(model, tmp_path / "x.model")
    found = write_report(dataset, tmp_path / "found.html").read_bytes()
    assert found == write_report(dataset, tmp_path / "given.html", model).read_bytes()
    assert b'id="model"' in found


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FILES)
def test_each_file_may_be_absent(plain: Path, copy: Path, tmp_path: Path, name: str) -> None:
    (copy / name).unlink()
    part = section(written(plain, tmp_path / "report.html", copy), "model")
    assert not part.all("p", "notice")


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_left_out_and_said(copy: Path, name: str) -> None:
    whole = read_model(copy)
    for damage in DAMAGE:
        if name.endswith("jsonl") and not damage:
            continue  # no line yet
        (copy / name).write_bytes(damage)
        found = read_model(copy)
        lost = name == "model.json" and found.architecture == "resnet18"
        assert not lost
        if not (name == "model.json" and damage.startswith(b'{"format": "mlimg-model/1"}')):
            assert any(problem.startswith(name) for problem in found.problems), damage
        kept = {"model.json": "evaluation", "evaluation.json": "run"}.get(name, "architecture")
        assert getattr(found, kept) == getattr(whole, kept)


def test_a_page_is_written_whatever_the_folder_holds(plain: Path, copy: Path, tmp_path: Path) -> None:
    for name in FILES:
        (copy / name).write_bytes(b'{"format": "mlimg-model/1", ')
    part = section(written(plain, tmp_path / "report.html", copy), "model")
    assert len(part.all("p", "notice")) == 4  # the history of a transfer without evaluation is not looked at
    assert not part.all("svg")
    shutil.rmtree(copy)
    copy.mkdir()
    part = section(written(plain, tmp_path / "report.html", copy), "model")
    assert "no description of it that can be read" in part.text


def test_numbers_that_are_no_numbers_are_dashes_or_left_out(plain: Path, copy: Path, tmp_path: Path) -> None:
    evaluation = json.loads((copy / "evaluation.json").read_text())
    evaluation["verified"] = {"map": None, "categories": 0, "baseline": None}
    evaluation["hierarchy"] = {"pairs": 0, "share": float("nan"), "share_confident": float("inf")}
    evaluation["bands"] = []
    (copy / "evaluation.json").write_text(json.dumps(evaluation))
    with (copy / "history.jsonl").open("a") as stream:
        stream.write('{"kind": "step", "step": 1e400, "loss": NaN}\n{"half')
    part = section(written(plain, tmp_path / "report.html", copy), "model")
    assert figures(part)["mAP, verified labels only"] == ["—", "0 categories · baseline —"]
    assert "hierarchy inversions" not in figures(part)
    assert [notice.text for notice in part.all("p", "notice")] == [
        "history.jsonl: lines left out that make no sense: 2."
    ]


def test_names_in_a_model_are_text(plain: Path, copy: Path, tmp_path: Path) -> None:
    edited(
        copy / "model.json", name=EVIL, architecture=EVIL, versions={EVIL: EVIL}, digests={"dataset": EVIL}
    )
    page = write_report(plain, tmp_path / "report.html", copy).read_text()
    assert EVIL not in page
    part = section(parse(page), "model")
    assert EVIL in part.text
    assert "another dataset than this one" in part.all("p", "notice")[0].text


def test_a_long_training_is_thinned(copy: Path) -> None:
    line = '{"kind": "step", "step": %d, "loss": 1.5, "rate": 0.1}\n'
    (copy / "history.jsonl").write_text("".join(line % step for step in range(50_000)))
    run = read_model(copy).run
    assert run is not None
    steps = [step.step for step in run.steps]
    assert len(steps) <= 4_000
    assert steps == list(range(0, 50_000, steps[1]))
