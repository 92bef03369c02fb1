"""Transfer: fine-tune the trained network, with a new softmax layer, on a source with one label per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.atomic import save_json
from mlimg_build.dataset import Dataset
from mlimg_build.errors import Problem, TrainingError
from mlimg_build.images import Decoder
from mlimg_build.spec import Transfer
from mlimg_build.training.data.batches import BatchPlan
from mlimg_build.training.data.samples import Samples, single_labels
from mlimg_build.training.data.shuffle_order import ShuffleOrder
from mlimg_build.training.devices import ComputeDevice, prepared, slow_precision
from mlimg_build.training.evaluate.evaluation import evaluate_single_label
from mlimg_build.training.logit_adjustment import trained_digest
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.loop import Job, learn
from mlimg_build.training.loss.objectives import SingleLabel
from mlimg_build.training.model.backbone import Backbone, try_size
from mlimg_build.training.model.backbones import make_backbone
from mlimg_build.training.model.model_files import CARD, Card, Category, load_model, read_card, save_model
from mlimg_build.training.run_keys import choose_run, decoded_whole
from mlimg_build.training.runs import (
    EVALUATION,
    RunInputs,
    RunResult,
    describe_run,
    read_evaluation,
    refuse_nothing,
    steps_per_epoch,
    versions,
)

__all__ = ["Classes", "classes_of", "transfer"]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a transfer: their `categories` in the dataset, sorted by WordNet id, and the class of each row.

    `train_class` and `validation_class` are int32[rows of their split], -1 for an image without a class.
    """

    categories: tuple[int, ...]
    train: str
    train_class: NDArray[np.int32]
    validation: str | None
    validation_class: NDArray[np.int32] | None
    left_out: int  # images of the source without exactly one stated label

    def samples(self, dataset: Dataset) -> tuple[Samples, Samples | None]:
        """Return the training images and the validation images; None for the latter if the dataset has none."""
        later = None
        if self.validation is not None and self.validation_class is not None:
            later = Samples(dataset, self.validation, self.validation_class)
        return Samples(dataset, self.train, self.train_class), later


def classes_of(dataset: Dataset, source: str) -> Classes:
    """Return the classes that `source` states, and the class of each image.

    Training images are those of the source in the split `transfer`, else `train`; validation images are those of
    `transfer_validation`, else `validation`, that any source states to show exactly one of the classes.

    Raises:
        TrainingError: `transfer-without-images` if no image of `source` is stated to show exactly one category.
    """
    for split in ("transfer", "train"):
        if split in dataset.splits and source in dataset.sources:
            labels = single_labels(dataset, split, source)
            if (labels >= 0).any():
                break
    else:
        hint = "transfer wants a source whose images have one label each, as folders and ImageNet have"
        message = f"no image of the source {source!r} is stated to show exactly one category"
        raise TrainingError(Problem("transfer-without-images", message, hint=hint))
    wnids = dataset.categories.wnid
    categories = sorted(np.unique(labels[labels >= 0]).tolist(), key=lambda category: wnids[category])
    number = np.full(len(wnids) + 1, -1, np.int32)  # the last element is for label -1
    number[categories] = np.arange(len(categories), dtype=np.int32)
    code = dataset.sources.index(source)
    part = dataset[split]
    left_out = 0
    for shard in range(part.shards):
        own = (part.column("images/source", shard) == code) & part.counted(shard)
        left_out += int((own & (labels[part.rows(shard).start :][: len(own)] < 0)).sum())
    later = next(
        (name for name in ("transfer_validation", "validation") if len(dataset.splits.get(name, ()))), None
    )
    return Classes(
        categories=tuple(categories),
        train=split,
        train_class=number[labels],
        validation=later,
        validation_class=None if later is None else number[single_labels(dataset, later, None)],
        left_out=left_out,
    )


def transfer(setting: RunInputs, part: Transfer, base: RunResult) -> RunResult:
    """Fine-tune the network of `base` on the source of `transfer`; a finished run is not repeated.

    With `compare_scratch`, the same steps are also run from random weights with nothing frozen, and the evaluation has
    the result under `scratch`; that run's folder is `scratch/` in this one's.

    Raises:
        TrainingError: `device-missing`, `transfer-without-images`, and those of `choose_run` and `learn`.
        CheckpointError: those of `load_model` and `learn`.
    """
    dataset = setting.dataset
    inputs = {"dataset": dataset.digest, "weights": trained_digest(base.card)}
    chosen = choose_run("transfer", part, inputs, setting.folder)
    key, folder = chosen.key, setting.folder(chosen.key)
    classes = classes_of(dataset, part.source)
    warnings = [*chosen.warnings, *_left_out(classes, part.source)]
    with prepared(part.device, setting.backend) as machine:
        ran = _Transfer(setting, part, classes, base.card, machine, chosen.decoder)
        again = (folder / CARD).is_file()
        if not again:
            backbone, _ = load_model(base.folder)
            backbone.module.requires_grad_(True)
            backbone.replace_head(len(classes.categories), part.seed)
            said = (*decoded_whole(part.decoder), *slow_precision(part.precision, machine.device))
            warnings += [one for one in said if one not in base.warnings]
            warnings += ran.run("transfer", key, folder, backbone, part.freeze_stages)
        evaluation = read_evaluation(folder)
        if part.compare_scratch and evaluation is not None and not evaluation.get("scratch"):
            rival = folder / "scratch"
            if not (rival / CARD).is_file():
                fresh = make_backbone(base.card.architecture, len(classes.categories), part.seed)
                ran.run("transfer from scratch", f"{key}-scratch", rival, fresh, 0)
            told = read_evaluation(rival) or {}
            evaluation["scratch"] = {name: told.get(name) for name in ("top1", "top5", "step")}
            save_json(folder / EVALUATION, evaluation)
            again = False
    return RunResult(folder, read_card(folder), evaluation, again, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One fine-tuning recipe on one dataset, for networks with different initial weights."""

    setting: RunInputs
    part: Transfer
    classes: Classes
    base: Card
    machine: ComputeDevice
    decoder: Decoder

    def run(self, name: str, key: str, folder: Path, backbone: Backbone, frozen: int) -> list[Problem]:
        """Train, save and evaluate `backbone` in `folder`; return warnings."""
        setting, part, dataset = self.setting, self.part, self.setting.dataset
        samples, later = self.classes.samples(dataset)
        order = ShuffleOrder(samples.usable(), part.shards_mixed, part.seed)
        warnings = refuse_nothing(order, part.batch_size, f"no image of {part.source!r} has bytes")
        steps = part.steps_per_epoch or steps_per_epoch(len(order), part.batch_size)
        sizes = tuple((size.epoch * steps, size.size) for size in part.sizes)
        for given in part.sizes:
            if given.epoch < part.epochs:
                try_size(backbone, given.size)
        job = Job(
            name=name,
            key=key,
            digests={**setting.digests, "dataset": dataset.digest, "base": trained_digest(self.base)},
            architecture=self.base.architecture,
            outputs=len(self.classes.categories),
            stream=BatchPlan(
                samples, order, part.batch_size, sizes, part.augmentation, part.seed, self.decoder
            ),
            steps_per_epoch=steps,
            epochs=part.epochs,
            rate=part.learning_rate,
            optimizer=part.optimizer,
            precision=part.precision,
            micro_batch=part.micro_batch,
            gradient_clip=part.gradient_clip,
            ema=part.ema,
            frozen_stages=frozen,
            seed=part.seed,
        )
        last: dict[str, Any] = {}
        size = [given.size for given in part.sizes if given.epoch < part.epochs][-1]
        evaluable = later is not None and any(mask.any() for mask in later.usable())

        def evaluate(net: Backbone, whole: bool) -> dict[str, float | None]:
            assert later is not None  # noqa: S101  not called otherwise
            net.module.eval()
            last.clear()
            last.update(
                evaluate_single_label(
                    net,
                    later,
                    self.names(),
                    size=size,
                    precision=part.precision,
                    machine=self.machine,
                    most=None if whole else setting.backend.evaluate_images,
                )
            )
            return {"top1": last["top1"], "top5": last["top5"]}

        describe_run(folder, job, part, backbone)
        trained = learn(
            job,
            backbone,
            SingleLabel(part.label_smoothing),
            folder,
            machine=self.machine,
            backend=setting.backend,
            evaluate=evaluate if evaluable else None,
            follower=setting.follower,
        )
        if evaluable:
            if not last:
                evaluate(trained, True)
            save_json(folder / EVALUATION, {**last, "step": job.steps, "scratch": None})
        save_model(folder, trained.module, self.card(job, size, trained))
        checkpoints.finish(folder / "checkpoints", setting.backend.keep_finished)
        return warnings

    def names(self) -> Sequence[tuple[str, str]]:
        """Return the (WordNet id, name) of each class."""
        categories = self.setting.dataset.categories
        return [(categories.wnid[i], categories.names[i]) for i in self.classes.categories]

    def card(self, job: Job, size: int, trained: Backbone) -> Card:
        """Return the card of the fine-tuned network."""
        counts = np.bincount(self.classes.train_class[self.classes.train_class >= 0], minlength=job.outputs)
        return Card(
            name=self.setting.name,
            version=self.setting.version,
            architecture=job.architecture,
            image_size=size,
            activation="softmax",
            categories=tuple(
                Category(wnid, name, (), int(count))
                for (wnid, name), count in zip(self.names(), counts, strict=True)
            ),
            digests={**job.digests, "run": job.key},
            step=job.steps,
            epochs=float(job.epochs),
            training=self.part.model_dump(mode="json"),
            versions=versions(trained),
            mean=trained.mean,
            std=trained.std,
        )


def _left_out(classes: Classes, source: str) -> list[Problem]:
    if not classes.left_out:
        return []
    message = (
        f"{classes.left_out:,} images of {source} are not used for transfer: "
        "they are not stated to show exactly one category"
    )
    return [Problem("transfer-images-left-out", message, severity="warning")]
