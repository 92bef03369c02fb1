"""Publish a finished network and its files as `NAME.model/`, replacing the earlier one in one step."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlimg_build.atomic import explaining_full_disk, replacing
from mlimg_build.errors import CheckpointError, Problem, TrainingError
from mlimg_build.training.model.model_files import CARD, WEIGHTS, read_card
from mlimg_build.training.runs import EVALUATION, RunResult, read_evaluation

__all__ = ["publish", "published", "refuse_stranger"]

HISTORY = "history.jsonl"


def publish(folder: Path, trained: RunResult, tuned: RunResult | None) -> None:
    """Replace `folder` by one that holds the trained network, and the fine-tuned one below `transfer/`.

    Weights are hard links to those of the runs, or copies across file systems.

    Raises:
        TrainingError: `not-replaceable` if `folder` is not a model.
        DatasetError: `disk-full`.
    """
    refuse_stranger(folder)
    with explaining_full_disk(folder), replacing(folder.absolute()) as new:
        _take(trained.folder, new)
        if tuned is not None:
            _take(tuned.folder, new / "transfer")
            if (tuned.folder / "scratch" / CARD).is_file():
                _take(tuned.folder / "scratch", new / "transfer" / "scratch")


def published(folder: Path, trained: RunResult) -> bool:
    """Return whether `folder` holds the network of this run, with its evaluation."""
    try:
        card = read_card(folder)
    except CheckpointError:
        return False
    return card.digests == trained.card.digests and read_evaluation(folder) == trained.evaluation


def refuse_stranger(folder: Path) -> None:
    """Raises `TrainingError` if a model would replace something that is not a model."""
    if not folder.exists() or (folder.is_dir() and (not any(folder.iterdir()) or (folder / CARD).is_file())):
        return
    message = f"{folder} exists and is no model, so it is not replaced"
    raise TrainingError(Problem("not-replaceable", message, hint="give another --out, or move it away"))


def _take(run: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, CARD, EVALUATION, HISTORY):
        source = run / name
        if not source.is_file():
            continue
        if name == WEIGHTS:
            try:
                os.link(source, to / name)
                continue
            except OSError:  # another file system, or one without links
                pass
        shutil.copyfile(source, to / name)
