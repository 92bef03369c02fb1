"""Models and runs from somebody else: whatever their files say, a verb ends, and says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.compiler.model_stage import Modelled, make_model
from mlimg_build.errors import CheckpointError
from mlimg_build.report.read_model import read_model
from mlimg_build.spec import Backend, LoadedSpec, TrainingBackend
from mlimg_build.training.loop.checkpoints import load
from mlimg_build.training.loop.history import read_history
from tests.support.command import mlimg

DELETED = object()
CYCLE = [[1], [2], [0]]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


EDITS: list[tuple[tuple[str | int, ...], Any]] = [
    *((("image_size",), value) for value in (0, -5, 10**9, 1.5, "32", None, [32], True)),
    *((("categories",), value) for value in ([], {}, None, "abc", [1], [{}], 10**9)),
    *((("categories", 0, "parents"), value) for value in ([0], [-1], [10**6], ["0"], None, 5, [[1]], [1.5])),
    *((("categories", 0, "wnid"), value) for value in (None, 5, [], "x" * 10_000)),
    *((("categories", 0, "name"), value) for value in (None, 5, "x" * 10_000)),
    *((("categories", 0, "positives"), value) for value in (-1, "many", None, 1.5)),
    *((("mean",), value) for value in ([0.5], [0.5] * 4, "abc", None, ["a", "b", "c"], {})),
    *((("std",), value) for value in ([0, 0.5, 0.5], [-1, 0.5, 0.5], [0.5], None, 5)),
    *((("activation",), value) for value in ("tanh", None, 5, [])),
    *((("architecture",), value) for value in (None, 5, [], "x" * 10_000)),
    *((("digests",), value) for value in (None, [], "abc", {"weights": 5})),
    *((("step",), value) for value in (-1, None, "1")),
    *((("format",), value) for value in (None, 1, "mlimg-model/2", DELETED)),
    *(((key,), DELETED) for key in ("name", "categories", "step", "image_size", "activation", "digests")),
    (("more",), "than is known"),
    (("training",), "abc"),
    (("epochs",), "abc"),
    (("versions",), 5),
]


@pytest.fixture(scope="module")
def made(built: tuple[LoadedSpec, Path]) -> Modelled:
    """The model of the small spec."""
    loaded, path = built
    return make_model(loaded, path.parent, Backend(training=TrainingBackend(loader_workers=0)))


@pytest.fixture(scope="module")
def copy(made: Modelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model, whose card tests write."""
    return shutil.copytree(made.model, tmp_path_factory.mktemp("strange") / "strange.model")


@pytest.fixture(scope="module")
def verbs(built: tuple[LoadedSpec, Path]) -> Callable[[Path], list[Any]]:
    """What predict and evaluate say of a model, once what a report reads of it was read."""
    picture = Path(built[0].path).parent / "crowd" / "rocket0.jpg"

    def told(model: Path) -> list[Any]:
        read_model(model)  # leaves out what it cannot read, and says so
        return [mlimg("predict", model, picture), mlimg("evaluate", model, built[1])]

    return told


def refused(told: list[Any], code: str = "model-unreadable") -> None:
    for done in told:
        assert done.returncode == 1
        assert f"error[{code}]" in done.stderr


@pytest.mark.parametrize(("place", "value"), EDITS, ids=lambda value: "-" if value is DELETED else None)
def test_an_edited_card_is_refused_by_every_verb(
    made: Modelled, copy: Path, verbs: Callable[[Path], list[Any]], place: tuple[str | int, ...], value: Any
) -> None:
    told = json.loads((made.model / "model.json").read_text())
    inner = told
    for step in place[:-1]:
        inner = inner[step]
    if value is DELETED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    (copy / "model.json").write_text(json.dumps(told))
    refused(verbs(copy))


@pytest.mark.parametrize("text", ["", "[]", "5", '{"format": ', nested(100_000), "\0", '{"a": ' * 50_000])
def test_a_card_that_is_no_card_is_refused(copy: Path, verbs: Callable[[Path], list[Any]], text: str) -> None:
    (copy / "model.json").write_text(text)
    refused(verbs(copy))


def test_categories_that_are_their_own_ancestors_are_named(
    made: Modelled, copy: Path, verbs: Callable[[Path], list[Any]]
) -> None:
    told = json.loads((made.model / "model.json").read_text())
    for category, parents in zip(told["categories"], CYCLE, strict=False):
        category["parents"] = parents
    (copy / "model.json").write_text(json.dumps(told))
    found = verbs(copy)
    refused(found)
    assert "their own ancestors" in found[0].stderr


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_not_waited_for(
    copy: Path, verbs: Callable[[Path], list[Any]], kind: str
) -> None:
    card = copy / "model.json"
    card.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(card)
    elif kind == "device":
        card.symlink_to("/dev/zero")
    else:
        card.mkdir()
    try:
        refused(verbs(copy), "model-missing")
    finally:
        card.rmdir() if kind == "folder" else card.unlink()


def test_a_history_that_is_no_text_costs_its_lines_only(tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    lines = [
        b'{"kind": "step", "step": 1}',
        b'{"kind": "\xff\xfe", "step": 2}',
        nested(100_000).encode(),
        b"\xff",
    ]
    history.write_bytes(b"\n".join(lines))
    assert [record["step"] for record in read_history(history)] == [1, 2]


def test_no_advice_to_run_a_checkpoint_s_code_is_passed_on(tmp_path: Path) -> None:
    import torch

    from mlimg_build.digests import file_digest

    path = tmp_path / "step-00000001.pt"
    torch.save({"format": print}, path)
    path.with_suffix(".json").write_text(json.dumps({"sha256": file_digest(path)}))
    with pytest.raises(CheckpointError) as caught:
        load(path)
    assert caught.value.code == "checkpoint-damaged"
    assert "weights_only" not in str(caught.value)
    assert "other objects than tensors" in str(caught.value)
