"""Datasets of strangers: whatever was changed in one, every verb ends, says what is wrong, and `verify` lists it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from mlimg_build.dataset import open_dataset, verify
from tests.support.command import mlimg
from tests.support.strange_dataset import COLUMN_EDITS, FILE_EDITS, ROOT_EDITS, Edit, strange_spec

SECONDS = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a spec, its dataset and its model."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    pytest.importorskip(
        "timm", reason="the extra `timm` is not installed: it has networks small enough for tests"
    )
    root = tmp_path_factory.mktemp("strange")
    done = mlimg("build", strange_spec(root), "--out", root / "out")
    assert done.returncode == 0, done.stderr
    assert verify(root / "out" / "strange.zarr").findings == ()
    with open_dataset(root / "out" / "strange.zarr") as dataset:  # every kind of row is there
        assert len(dataset.copies)
        assert dataset.pairs
        assert set(dataset.splits) == {"train", "validation"}
        assert dataset.train.column("contradictions/kept", 0).size
    return root


@contextmanager
def ending(what: str) -> Iterator[None]:
    """Raises if it takes a minute."""

    def late(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{what} does not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def edited(world: Path, tmp_path: Path) -> Callable[[Edit], Path]:
    """A copy of the dataset with one change; its files are hard links but for those that are changed."""

    def make(edit: Edit) -> Path:
        path = tmp_path / "edited" / "strange.zarr"
        if path.parent.exists():
            shutil.rmtree(path.parent)
        shutil.copytree(world / "out" / "strange.zarr", path, copy_function=os.link)
        edit.change(path)
        return path

    return make


Verb = Callable[[Path, Path], Sequence[object]]
VERBS: dict[str, Verb] = {
    "verify": lambda world, path: ["verify", path],
    "verify --labels": lambda world, path: ["verify", path, "--labels"],
    "info": lambda world, path: ["info", path],
    "why": lambda world, path: ["why", path, "crowd/chelsea0"],
    "why CATEGORY": lambda world, path: ["why", path, "animal"],
    "report": lambda world, path: ["report", path, "--to", path.parent / "page.html"],
    "export": lambda world, path: ["export", path, path.parent / "tars", "--to", "webdataset"],
    "diff": lambda world, path: ["diff", world / "out" / "strange.zarr", path],
    "evaluate": lambda world, path: ["evaluate", world / "out" / "strange.model", path],
    "train": lambda world, path: [
        "train",
        world / "strange.yaml",
        "--dataset",
        path,
        "--out",
        path.parent / "out",
    ],
}
EDITS = [*ROOT_EDITS, *COLUMN_EDITS, *FILE_EDITS]


def flaws(world: Path, edited: Callable[[Edit], Path], verb: str, edits: Sequence[Edit]) -> list[str]:
    """What a verb does wrong with edited datasets: it raises, never ends, or says nothing."""
    found = []
    for edit in edits:
        path = edited(edit)
        try:
            with ending(edit.name):
                done = mlimg(*VERBS[verb](world, path))
        except Exception as error:
            found.append(f"{edit.name}: {error!r}"[:300])
            continue
        told = done.stdout + done.stderr
        silent = done.returncode and not verb.startswith("verify") and "error[" not in done.stderr
        if done.returncode not in (0, 1) or silent or "Traceback" in told:
            found.append(f"{edit.name}: exit {done.returncode}: {told[-200:]}")
        elif verb == "verify" and not done.returncode:
            found.append(f"{edit.name}: not found")
    return found


@pytest.mark.few(2)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends_and_says_what_is_wrong(
    world: Path, edited: Callable[[Edit], Path], verb: str
) -> None:
    """A twentieth of the edits for each verb; verify meets more of them below."""
    edits = EDITS[list(VERBS).index(verb) :: 2 * len(VERBS)]
    assert len(edits) >= 12
    assert flaws(world, edited, verb, edits) == []


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends_whatever_was_edited(world: Path, edited: Callable[[Edit], Path], verb: str) -> None:
    assert flaws(world, edited, verb, EDITS) == []


@pytest.mark.slow
@pytest.mark.parametrize("edits", [EDITS[1::6], pytest.param(EDITS, marks=pytest.mark.slow)])
def test_verify_lists_every_change_and_never_raises(
    edited: Callable[[Edit], Path], edits: Sequence[Edit]
) -> None:
    for edit in edits:
        with ending(edit.name):
            found = verify(edited(edit)).findings
        assert found, edit.name
        assert all(one.code and one.message and "Error(" not in one.message for one in found)


def test_another_dataset_is_not_opened_through_the_name_of_a_split(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "strange.zarr"
    shutil.copytree(world / "out" / "strange.zarr", path)
    text = (path / "zarr.json").read_text()
    elsewhere = world / "out" / "strange.zarr" / "train"
    (path / "zarr.json").write_text(text.replace('"train",', f'"{elsewhere}",', 1))
    done = mlimg("info", path)
    assert done.returncode == 1
    assert "dataset-unreadable" in done.stderr
