"""Checkpoints of somebody else, whole and with their digest: whatever they hold, a run says that they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

import torch

from mlimg_build.dataset import Dataset
from mlimg_build.errors import CheckpointError
from mlimg_build.spec import LoadedSpec
from mlimg_build.training import train
from mlimg_build.training.loop import checkpoints
from tests.training.test_runs import part, setting

State = dict[str, Any]


def without(key: str) -> Callable[[State], object]:
    return lambda state: state.pop(key)


def instead(key: str, value: Any) -> Callable[[State], object]:
    return lambda state: state.update({key: value})


def inside(key: str, inner: Any, value: Any) -> Callable[[State], object]:
    return lambda state: state.update({key: {**state[key], inner: value}})


def of_other_shapes(state: State) -> None:
    state["network"] = {name: torch.zeros(3) for name in state["network"]}


EDITS = {
    **{f"no {key}": without(key) for key in ("key", "digests", "architecture", "outputs", "network", "loss")},
    "no random": without("random"),
    **{f"digests {value!r}": instead("digests", value) for value in (None, {}, {"dataset": 5}, "abc")},
    **{f"outputs {value!r}": instead("outputs", value) for value in (0, -1, 2.5, "7", None, True)},
    **{f"network {value!r}": instead("network", value) for value in (None, [], {"a": 5}, {})},
    **{f"optimizer {value!r}": instead("optimizer", value) for value in (None, {}, {"state": 5}, [])},
    **{f"random {value!r}": instead("random", value) for value in (None, 5, torch.zeros(3), "abc")},
    **{f"position {value!r}": instead("position", value) for value in ({}, 5, {"batch_size": 0})},
    "a batch size of 0": inside("position", "batch_size", 0),
    "epochs without a step": inside("position", "steps_per_epoch", 0),
    "an optimizer without groups": inside("optimizer", "param_groups", []),
    "tensors of other shapes": of_other_shapes,
    "loss 5": instead("loss", 5),
    "average 5": instead("average", 5),
}


@pytest.fixture(scope="module")
def saved(
    built: tuple[LoadedSpec, Path], dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[State, Path]:
    """A checkpoint's content, and a folder for changed ones."""
    folder = tmp_path_factory.mktemp("checkpoints")
    ran = train(setting(dataset, folder), part(built[0], epochs=1))
    path = checkpoints.latest(ran.folder / "checkpoints")
    assert path is not None
    state = checkpoints.load(path)
    return {key: value for key, value in state.items() if key not in ("format", "step")}, folder


@pytest.mark.parametrize("name", EDITS)
def test_a_checkpoint_that_does_not_fit_is_one_error(
    built: tuple[LoadedSpec, Path], dataset: Dataset, saved: tuple[State, Path], tmp_path: Path, name: str
) -> None:
    state = dict(saved[0])
    EDITS[name](state)
    path = checkpoints.save(tmp_path / "edited", 4, state)
    with pytest.raises(CheckpointError) as caught:
        train(setting(dataset, tmp_path), part(built[0]), start=path)
    assert caught.value.code == "checkpoint-damaged"
    assert "Traceback" not in str(caught.value)


def test_the_checkpoint_itself_fits(
    built: tuple[LoadedSpec, Path], dataset: Dataset, saved: tuple[State, Path], tmp_path: Path
) -> None:
    path = checkpoints.save(tmp_path / "same", 4, saved[0])
    assert train(setting(dataset, tmp_path), part(built[0]), start=path).folder.is_dir()
