"""One training run: from a dataset and the `training` of a spec to a network, its evaluation and its files."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor

import mlimg_build
from mlimg_build.atomic import save_json
from mlimg_build.dataset import Dataset
from mlimg_build.errors import CheckpointError, Problem, TrainingError
from mlimg_build.regular_files import read_object
from mlimg_build.spec import Training, TrainingBackend
from mlimg_build.training.data.batches import BatchPlan
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.shuffle_order import ShuffleOrder
from mlimg_build.training.devices import ComputeDevice, prepared, slow_precision
from mlimg_build.training.evaluate.evaluation import evaluate_multi_label, training_positives
from mlimg_build.training.logit_adjustment import (
    Calibration,
    begin_at_prior,
    wants_adjustment,
    without_bias,
)
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.loop import Evaluate, Follower, Job, Quiet, learn
from mlimg_build.training.loss.objectives import multi_label
from mlimg_build.training.model.backbone import Backbone, try_size
from mlimg_build.training.model.backbones import make_backbone
from mlimg_build.training.model.initial_weights import InitialWeights, begin_with, find_weights
from mlimg_build.training.model.model_files import CARD, Card, Category, load_model, read_card
from mlimg_build.training.run_keys import choose_run, decoded_whole, told_of

__all__ = ["EVALUATION", "RunInputs", "RunResult", "steps_per_epoch", "train", "versions"]

EVALUATION = "evaluation.json"


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The inputs and the place of a run: `runs` has one folder per run, `digests` are those of spec and lock."""

    name: str
    version: str
    dataset: Dataset
    digests: Mapping[str, str]
    runs: Path
    backend: TrainingBackend = field(default_factory=TrainingBackend)
    follower: Follower = field(default_factory=Quiet)

    def folder(self, key: str) -> Path:
        """Return the folder of the run with this key."""
        return self.runs / key[:16]


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run: its folder, its card, its evaluation (None without validation images)."""

    folder: Path
    card: Card
    evaluation: dict[str, Any] | None
    again: bool  # whether the run was finished before
    warnings: tuple[Problem, ...] = ()


def train(setting: RunInputs, part: Training, start: Path | None = None) -> RunResult:
    """Train the network of `training` on the dataset's training images; a finished run is not repeated.

    A run is identified by its key: the digest of `training` (without settings that affect no weight), of the dataset
    and of the initial weights. Another dataset or another recipe is another run and leaves this one as it is. `start`
    is a checkpoint to resume from, possibly of a run with other settings; it must be of this dataset.

    Raises:
        TrainingError: `device-missing`, `no-training-image`, `no-category`, and those of `choose_run`, `make_backbone`,
            `try_size` and `learn`.
        CheckpointError: those of `find_weights`, `begin_with` and `learn`.
    """
    initial = None if part.weights is None else find_weights(part.weights)
    inputs = {} if initial is None else initial.inputs
    chosen = choose_run("training", part, {"dataset": setting.dataset.digest, **inputs}, setting.folder)
    key, folder = chosen.key, setting.folder(chosen.key)
    with prepared(part.device, setting.backend) as machine:
        if (folder / CARD).is_file() and start is None:
            try:
                return replace(_finished(setting, part, folder, machine), warnings=chosen.warnings)
            except CheckpointError as error:
                if error.code != "model-damaged":
                    raise
                (folder / CARD).unlink()  # its last checkpoint makes the model again
        samples = Samples(setting.dataset, "train")
        order = ShuffleOrder(samples.usable(), part.shards_mixed, part.seed)
        warnings = refuse_nothing(order, part.batch_size, "the dataset has no training image with bytes")
        for warning in (*decoded_whole(part.decoder), *slow_precision(part.precision, machine.device)):
            setting.follower.step(
                warning.message
            )  # before days of training; the warning itself is shown at the end
            warnings.append(warning)
        counts = training_positives(setting.dataset)
        categories = setting.dataset.categories
        if not len(categories):
            raise TrainingError(Problem("no-category", "the dataset has no category to learn"))
        calibration = Calibration(setting.dataset, part)
        backbone, loaded = _begun(part, initial, categories.wnid, calibration, warnings)
        try_size(backbone, part.image_size)
        steps = part.steps_per_epoch or steps_per_epoch(len(order), part.batch_size)
        job = Job(
            name="training",
            key=key,
            digests={**setting.digests, "dataset": setting.dataset.digest, **inputs},
            architecture=part.model,
            outputs=len(categories),
            stream=BatchPlan(
                samples,
                order,
                part.batch_size,
                ((0, part.image_size),),
                part.augmentation,
                part.seed,
                chosen.decoder,
            ),
            steps_per_epoch=steps,
            epochs=part.epochs,
            rate=part.learning_rate,
            optimizer=part.optimizer,
            precision=part.precision,
            micro_batch=part.micro_batch,
            gradient_clip=part.gradient_clip,
            ema=part.ema,
            frozen_stages=0,
            seed=part.seed,
        )
        last: dict[str, Any] = {}
        evaluate = _evaluation(setting, part, machine, counts, last, calibration.shift_of)
        describe_run(folder, job, part, backbone)
        trained = learn(
            job,
            backbone,
            multi_label(part.loss, len(categories), part.seed),
            folder,
            machine=machine,
            backend=setting.backend,
            evaluate=evaluate,
            start=start,
            follower=setting.follower,
            warnings=warnings,
        )
        card = Card(
            name=setting.name,
            version=setting.version,
            architecture=part.model,
            image_size=part.image_size,
            activation="sigmoid",
            categories=tuple(
                Category(wnid, name, parents, int(count))
                for wnid, name, parents, count in zip(
                    categories.wnid, categories.names, categories.parents, counts, strict=True
                )
            ),
            digests={**job.digests, "run": key},
            step=job.steps,
            epochs=float(part.epochs),
            training=told_of(part),
            versions=versions(trained),
            mean=trained.mean,
            std=trained.std,
            initial=loaded,
        )
        card = calibration.save(folder, trained, card)
        evaluation = _kept(folder, evaluate, trained, last, job.steps)
        checkpoints.finish(folder / "checkpoints", setting.backend.keep_finished)
    return RunResult(folder, card, evaluation, again=False, warnings=tuple(warnings))


def _begun(
    part: Training,
    initial: InitialWeights | None,
    categories: Sequence[str],
    calibration: Calibration,
    warnings: list[Problem],
) -> tuple[Backbone, dict[str, Any] | None]:
    """Return the network before its first step and what was loaded into it; add to `warnings` what was not."""
    backbone = make_backbone(part.model, len(categories), part.seed)
    loaded = None
    if initial is not None:
        backbone, loaded = begin_with(backbone, initial, categories)
    if (part.head_bias == "prior" or wants_adjustment(part)) and backbone.head_bias() is None:
        warnings.append(without_bias(backbone))
    elif part.head_bias == "prior" and (loaded is None or loaded["random"]):
        name = begin_at_prior(backbone, calibration)
        if loaded is not None:
            loaded["random"] = [one for one in loaded["random"] if one != name]
    if initial is None or loaded is None:
        return backbone, None
    if loaded["random"]:
        message = (
            f"{loaded['name']} has no head for these {len(categories):,} categories, so it begins at random: "
            f"{', '.join(loaded['random'])}"
        )
        warnings.append(Problem("head-not-loaded", message, severity="warning"))
    if initial.card is None and backbone.scaled_as_published:
        message = f"{loaded['name']} goes on with pixels scaled to [-1, 1], as the published networks"
        hint = "weights of another scale, as torchvision's own, need some steps to adapt; timm/NAME has its own scale"
        warnings.append(Problem("weights-scale", message, hint=hint, severity="warning"))
    return backbone, loaded


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of batches in which every image is read once, on average over the epochs.

    >>> steps_per_epoch(1000, 300), steps_per_epoch(10, 300)
    (3, 1)
    """
    return max(1, round(images / batch_size))


def versions(backbone: Backbone) -> dict[str, str]:
    """Return the versions of the packages that made a model; timm's too if the network is from it."""
    library = backbone.architecture.partition("/")[0] if "/" in backbone.architecture else ""
    return {
        "mlimg": mlimg_build.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        **({library: version(library)} if library else {}),
    }


def refuse_nothing(order: ShuffleOrder, batch_size: int, message: str) -> list[Problem]:
    """Return a warning if a batch repeats images. Raises `TrainingError` `no-training-image` if there is no image."""
    if not len(order):
        hint = "`mlimg info` counts the images of each split and those without bytes"
        raise TrainingError(Problem("no-training-image", message, hint=hint))
    if batch_size <= len(order):
        return []
    said = f"a batch of {batch_size:,} has more images than there are ({len(order):,}), so it repeats some"
    return [Problem("batch-too-large", said, hint="lower batch_size", severity="warning")]


def describe_run(folder: Path, job: Job, part: Any, backbone: Backbone) -> None:
    """Write `run.json`, which describes the run of a folder to people."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "name": job.name,
        "key": job.key,
        "digests": dict(job.digests),
        "steps": job.steps,
        "steps_per_epoch": job.steps_per_epoch,
        "decoder": job.stream.decoder,
        "part": told_of(part),
        "versions": versions(backbone),
    }
    save_json(folder / "run.json", told)


def _evaluation(
    setting: RunInputs,
    part: Training,
    machine: ComputeDevice,
    counts: Any,
    last: dict[str, Any],
    shift_of: Callable[[Backbone], Tensor | None],
) -> Evaluate | None:
    """Return a function that evaluates a network on the validation images and puts the full result in `last`.

    `shift_of` returns what its model's bias lacks, as the model is what is measured. None without validation images.
    """
    if not len(setting.dataset.splits.get("validation", ())):
        return None
    samples = Samples(setting.dataset, "validation")
    if not any(mask.any() for mask in samples.usable()):
        return None

    def measure(backbone: Backbone, whole: bool) -> dict[str, float | None]:
        backbone.module.eval()
        last.clear()
        with backbone.shifted(shift_of(backbone)):
            last.update(
                evaluate_multi_label(
                    backbone,
                    samples,
                    size=part.image_size,
                    precision=part.precision,
                    machine=machine,
                    train_positives=counts,
                    positive_threshold=part.evaluation_threshold,
                    most=None if whole else setting.backend.evaluate_images,
                )
            )
        assumed, verified = last["unknown_as_absent"], last["verified"]
        return {"map": assumed["map"], "map_verified": verified["map"], "baseline": assumed["baseline"]}

    return measure


def _kept(
    folder: Path,
    evaluate: Evaluate | None,
    backbone: Backbone,
    last: dict[str, Any],
    step: int,
) -> dict[str, Any] | None:
    """Return the evaluation of the finished network, and write it to `evaluation.json`."""
    if evaluate is None:
        return None
    if not last:
        evaluate(backbone, True)
    told = {**last, "step": step}
    save_json(folder / EVALUATION, told)
    return told


def _finished(setting: RunInputs, part: Training, folder: Path, machine: ComputeDevice) -> RunResult:
    """Return the result of a finished run; measure it again if its evaluation is missing, old or by another threshold.

    If the spec now asks for another adjustment of the bias, its model is written anew.
    """
    card, again = read_card(folder), True
    evaluation = read_evaluation(folder)
    calibration = Calibration(setting.dataset, part)
    if wants_adjustment(part) != (card.logit_adjustment is not None):
        (folder / EVALUATION).unlink(missing_ok=True)  # that of another bias
        card, evaluation, again = calibration.again(folder), None, False
    if (
        evaluation is None
        or "calibration" not in evaluation
        or threshold_of(evaluation, card) != part.evaluation_threshold
    ):
        last: dict[str, Any] = {}
        counts = [category.positives for category in card.categories]
        evaluate = _evaluation(setting, part, machine, counts, last, lambda backbone: None)
        if evaluate:
            backbone = load_model(folder)[0]
            backbone.move(machine.device, machine.memory_format)
            evaluation = _kept(folder, evaluate, backbone, last, card.step)
    return RunResult(folder, card, evaluation, again)


def threshold_of(evaluation: Mapping[str, Any], card: Card) -> float:
    """Return the threshold of an evaluation; older ones do not store it and used that of the loss."""
    loss = card.training.get("loss")
    for told in (evaluation, loss if isinstance(loss, dict) else {}):
        value = told.get("positive_threshold")
        if isinstance(value, float | int) and 0 <= value <= 1:
            return float(value)
    return 0.7


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return the `evaluation.json` of a folder; None if it is missing or unreadable."""
    try:
        return read_object(folder / EVALUATION)
    except (OSError, ValueError):
        return None
