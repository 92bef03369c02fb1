"""`mlimg predict`: run a model on files and folders; return its predictions or write them to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from mlimg_build.errors import CheckpointError, Problem, TrainingError
from mlimg_build.spec import TrainingBackend
from mlimg_build.training.devices import prepared
from mlimg_build.training.model.model_files import CARD, load_model, read_card
from mlimg_build.training.predict.label_rule import LabelRule
from mlimg_build.training.predict.outputs import (
    write_features_npy,
    write_features_parquet,
    write_labels_csv,
    write_labels_json,
    write_labels_parquet,
)
from mlimg_build.training.predict.predictions import ModelOutputs, Predicted, find_images, predict, run_model

__all__ = ["Head", "head_folder", "labels_of", "write"]

Progress = Callable[[int, int], None]
Head = Literal["training", "transfer"]
One = TypeVar("One", Predicted, ModelOutputs)


def head_folder(model: Path, head: Head) -> Path:
    """Return the folder of a network of NAME.model: itself, or its `transfer/`, which is tuned to one source.

    Raises:
        CheckpointError: `head-missing`; `model-missing` or `model-unreadable` if there is no model either.
    """
    folder = model / "transfer" if head == "transfer" else model
    if head == "transfer" and not (folder / CARD).is_file():
        read_card(model)
        if model.absolute().name == "transfer" and (model.absolute().parent / CARD).is_file():
            hint = f"give {model.absolute().parent}, or leave out --head transfer"
            raise CheckpointError(
                Problem(
                    "head-missing", f"{model} is the network that is tuned to a source already", hint=hint
                )
            )
        hint = "add `transfer: {source: …}` to its spec and run `mlimg train`, or leave out --head transfer"
        message = f"{model} has no transfer/{CARD}: it was not tuned to a source"
        raise CheckpointError(Problem("head-missing", message, hint=hint))
    return folder


def labels_of(
    model: Path, images: Sequence[Path], top: int, rule: LabelRule, device: str, progress: Progress
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
            made = predict(
                backbone,
                card,
                find_images(images),
                machine,
                top=top,
                least=rule.least,
                likely=rule.likely,
            )
            yield from _followed(made, total, progress)

    return found()


def write(
    model: Path,
    images: Sequence[Path],
    to: Path,
    about: Mapping[str, Any],
    top: int,
    rule: LabelRule | None,
    device: str,
    progress: Progress,
) -> tuple[int, int]:
    """Write labels by a rule, or features if it is None, to `to`; return how many images and how many unreadable ones.

    `to` ends in .parquet, in .csv or .json for labels, or in .npy for features. A .json begins with `about`.
    """
    failed = 0

    def counted(found: Iterable[One]) -> Iterator[One]:
        nonlocal failed
        for one in found:
            failed += (
                sum(s != "ok" for s in one.statuses) if isinstance(one, ModelOutputs) else one.status != "ok"
            )
            yield one

    if rule is not None:
        labelled = counted(labels_of(model, images, top, rule, device, progress))
        suffix = to.suffix.lower()
        if suffix == ".json":
            return write_labels_json(to, labelled, about), failed
        return (write_labels_csv if suffix == ".csv" else write_labels_parquet)(to, labelled), failed
    backbone, card = load_model(model)
    total = _counted(images)
    with prepared(device, TrainingBackend(loader_workers=0)) as machine:
        backbone.move(machine.device, machine.memory_format)
        found = run_model(backbone, card, find_images(images), machine, as_features=True)
        writer = write_features_npy if to.suffix.lower() == ".npy" else write_features_parquet
        rows = writer(to, counted(_followed(found, total, progress)), backbone.width)
    return rows, failed


def _counted(images: Sequence[Path]) -> int:
    total = sum(1 for _ in find_images(images))
    if not total:
        hint = "images end in .jpg, .png, .webp, .gif, .bmp, .tif, .avif, .jp2, .heic or a rarer suffix"
        datasets = [path for path in images if (path / "zarr.json").is_file()]
        if datasets:
            hint = "a dataset has its images in shards: `mlimg evaluate` looks at them, `mlimg export` writes them"
        named = ", ".join(map(str, images))
        raise TrainingError(Problem("no-image", f"there is no image in {named}", hint=hint))
    return total


def _followed(found: Iterable[One], total: int, progress: Progress) -> Iterator[One]:
    done = 0
    for one in found:
        done += len(one.paths) if isinstance(one, ModelOutputs) else 1
        progress(done, total)
        yield one
