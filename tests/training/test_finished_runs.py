"""Runs and models that are there: known again by their keys, read whatever version wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.dataset import Dataset
from mlimg_build.spec import LoadedSpec
from mlimg_build.training import load_model, publish, published, train
from mlimg_build.training.evaluate.evaluate_model import measure
from mlimg_build.training.runs import threshold_of
from tests.support.file_modes import masked, wrong_modes
from tests.training.test_runs import part, setting


def test_another_threshold_measures_a_finished_network_again_and_trains_nothing(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    first = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    publish(tmp_path / "small.model", first, None)
    assert published(tmp_path / "small.model", first)
    second = train(setting(dataset, tmp_path), part(built[0], epochs=1, evaluation_threshold=0.5))
    assert second.again
    assert second.card.digests == first.card.digests
    assert first.evaluation is not None
    assert second.evaluation is not None
    assert first.evaluation["positive_threshold"] == 0.7
    assert second.evaluation["positive_threshold"] == 0.5
    assert not published(tmp_path / "small.model", second)


def test_a_model_of_before_is_read_with_the_threshold_that_was_its_losss(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path
) -> None:
    ran = train(setting(dataset, tmp_path), part(built[0], epochs=1))
    assert ran.evaluation is not None
    told = json.loads((ran.folder / "model.json").read_text())
    assert "initial" not in told
    del told["training"]["evaluation_threshold"]
    told["training"]["loss"]["positive_threshold"] = 0.6
    (ran.folder / "model.json").write_text(json.dumps(told))
    before = {name: value for name, value in ran.evaluation.items() if name != "positive_threshold"}
    (ran.folder / "evaluation.json").write_text(json.dumps(before))
    assert threshold_of(before, load_model(ran.folder)[1]) == 0.6
    found = measure(ran.folder, built[1], "validation", "cpu", lambda done, total: None)
    assert found["positive_threshold"] == 0.6


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_modes_of_runs_and_models_follow_the_umask(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path: Path, umask: int
) -> None:
    with masked(umask):
        (tmp_path / "out").mkdir()
        ran = train(setting(dataset, tmp_path / "out"), part(built[0], epochs=1))
        publish(tmp_path / "out" / "small.model", ran, None)
    assert (tmp_path / "out" / "small.model" / "model.json").is_file()
    assert wrong_modes(tmp_path / "out", umask) == []
