"""`mlimg predict`: run a model on files and folders; return its predictions or write them to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import TrainingBackend
from mlimg_build.training.devices import prepared
from mlimg_build.training.model.model_files import load_model
from mlimg_build.training.predict.outputs import (
    write_features_npy,
    write_features_parquet,
    write_labels_parquet,
)
from mlimg_build.training.predict.predictions import ModelOutputs, Predicted, find_images, predict, run_model

__all__ = ["labels_of", "write"]

Progress = Callable[[int, int], None]
One = TypeVar("One", Predicted, ModelOutputs)


def labels_of(
    model: Path, images: Sequence[Path], top: int, least: float | None, device: str, progress: Progress
) -> Iterator[Predicted]:
    """Return an iterator over the top labels of every image, in order.

    Raises:
        CheckpointError: if the model is missing or damaged.
        TrainingError: `path-missing`, `no-image`; from the iterator `device-missing` and those of `run_model`.
    """
    backbone, card = load_model(model)
    total = _counted(images)

    def found() -> Iterator[Predicted]:
        with prepared(device, TrainingBackend(loader_workers=0)) as machine:
            backbone.move(machine.device, machine.memory_format)
            made = predict(backbone, card, find_images(images), machine, top=top, least=least)
            yield from _followed(made, total, progress)

    return found()


def write(
    model: Path,
    images: Sequence[Path],
    to: Path,
    features: bool,
    top: int,
    least: float | None,
    device: str,
    progress: Progress,
) -> tuple[int, int]:
    """Write labels or features of every image to the file `to`; return how many images and how many unreadable ones."""
    failed = 0

    def counted(found: Iterable[One]) -> Iterator[One]:
        nonlocal failed
        for one in found:
            failed += (
                sum(s != "ok" for s in one.statuses) if isinstance(one, ModelOutputs) else one.status != "ok"
            )
            yield one

    if not features:
        rows = write_labels_parquet(to, counted(labels_of(model, images, top, least, device, progress)))
        return rows, failed
    backbone, card = load_model(model)
    total = _counted(images)
    with prepared(device, TrainingBackend(loader_workers=0)) as machine:
        backbone.move(machine.device, machine.memory_format)
        found = run_model(backbone, card, find_images(images), machine, as_features=True)
        writer = write_features_npy if to.suffix == ".npy" else write_features_parquet
        rows = writer(to, counted(_followed(found, total, progress)), backbone.width)
    return rows, failed


def _counted(images: Sequence[Path]) -> int:
    total = sum(1 for _ in find_images(images))
    if not total:
        hint = "images end in .jpg, .png, .webp, .gif, .bmp, .tif, .avif, .jp2, .heic or a rarer suffix"
        named = ", ".join(map(str, images))
        raise TrainingError(Problem("no-image", f"there is no image in {named}", hint=hint))
    return total


def _followed(found: Iterable[One], total: int, progress: Progress) -> Iterator[One]:
    done = 0
    for one in found:
        done += len(one.paths) if isinstance(one, ModelOutputs) else 1
        progress(done, total)
        yield one
