"""`mlimg evaluate`: evaluate a model on a split of a dataset with the model's categories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlimg_build.dataset import Dataset, open_dataset
from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import TrainingBackend
from mlimg_build.training.data.samples import Samples, single_labels
from mlimg_build.training.devices import prepared
from mlimg_build.training.evaluate.evaluation import evaluate_multi_label, evaluate_single_label
from mlimg_build.training.model.model_files import Card, load_model

__all__ = ["measure"]

SHOWN = 3


def measure(
    model: Path, dataset: Path, split: str, device: str, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Evaluate a model on a split of a dataset; return JSON-able metrics.

    Raises:
        CheckpointError: if the model is missing or damaged.
        TrainingError: `category-count` or `category-differs` if the two do not fit; `no-image`; `device-missing`.
    """
    backbone, card = load_model(model)
    told = dict(card.training)
    with open_dataset(dataset) as opened, prepared(device, TrainingBackend(loader_workers=0)) as machine:
        backbone.move(machine.device, machine.memory_format)
        settings: dict[str, Any] = {
            "size": card.image_size,
            "precision": str(told.get("precision", "fp32")),
            "machine": machine,
            "progress": progress,
        }
        if card.activation == "sigmoid":
            _refuse_others(card, opened)
            before = told.get("loss", {}).get("positive_threshold", 0.7)  # older models have one for both
            threshold = told.get("evaluation_threshold", before)
            found = evaluate_multi_label(
                backbone,
                Samples(opened, split),
                train_positives=[category.positives for category in card.categories],
                positive_threshold=float(threshold),
                **settings,
            )
        else:
            samples = Samples(opened, split, _classes(card, opened, split))
            names = [(category.wnid, category.name) for category in card.categories]
            found = evaluate_single_label(backbone, samples, names, **settings)
    return {
        **found,
        "step": card.step,
        "digests": {"weights": card.digests["weights"], "dataset": opened.digest},
    }


def _refuse_others(card: Card, dataset: Dataset) -> None:
    """Raises `TrainingError` if the outputs of a model are not the categories of a dataset, in their order."""
    ours, theirs = [category.wnid for category in card.categories], dataset.categories.wnid
    if ours == theirs:
        return
    hint = "evaluate a model on the dataset that it was trained on, or on one with the same categories"
    if len(ours) != len(theirs):
        message = f"the model has {len(ours):,} categories, and {dataset.path.name} has {len(theirs):,}"
        raise TrainingError(Problem("category-count", message, hint=hint))
    listed = [f"{a} / {b}" for a, b in zip(ours, theirs, strict=True) if a != b]
    message = (
        f"{len(listed):,} categories of the model are others than those of {dataset.path.name}: "
        f"{', '.join(listed[:SHOWN])}{' …' if len(listed) > SHOWN else ''}"
    )
    raise TrainingError(Problem("category-differs", message, hint=hint))


def _classes(card: Card, dataset: Dataset, split: str) -> Any:
    """Return int32[rows]: the class of each image of a split, by the WordNet ids of a softmax model; -1 for none.

    Raises:
        TrainingError: `category-differs` if none has one.
    """
    number_of = {category.wnid: number for number, category in enumerate(card.categories)}
    number = np.array([number_of.get(wnid, -1) for wnid in dataset.categories.wnid] + [-1], np.int32)
    found = number[single_labels(dataset, split, None)]
    if len(found) and not (found >= 0).any():
        hint = "evaluate it on a dataset with its classes, or give the model beside it, whose labels are not exclusive"
        message = f"no image of {split} in {dataset.path.name} has one of the {len(number_of):,} classes of the model"
        raise TrainingError(Problem("category-differs", message, hint=hint))
    return found
