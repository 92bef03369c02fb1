"""Evaluate a network on a split of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset import Dataset
from mlimg_build.errors import Problem, TrainingError
from mlimg_build.training.data.samples import Samples
from mlimg_build.training.data.targets import SparseLabels
from mlimg_build.training.data.views import forward_images, logits_of, outputs_of, viewed
from mlimg_build.training.devices import ComputeDevice
from mlimg_build.training.evaluate.calibration import own_thresholds
from mlimg_build.training.evaluate.category_tree import CategoryTree
from mlimg_build.training.evaluate.examples import by_image, example_images
from mlimg_build.training.evaluate.metrics import (
    AveragePrecision,
    average_precision,
    bands,
    depths,
    mean,
)
from mlimg_build.training.evaluate.running_metrics import RunningMetrics, entries_of
from mlimg_build.training.evaluate.score_table import EntryTable, score_table
from mlimg_build.training.model.backbone import Backbone

__all__ = ["FORMAT", "evaluate_multi_label", "evaluate_single_label", "training_positives"]

FORMAT = "mlimg-evaluation/1"
Progress = Callable[[int, int], None]


def training_positives(dataset: Dataset, split: str = "train") -> NDArray[np.int64]:
    """Return int64[categories]: the number of images of a split that show each category; copies count once."""
    counts = np.zeros(len(dataset.categories), np.int64)
    if split not in dataset.splits:
        return counts
    part = dataset[split]
    for shard in range(part.shards):
        present = part.column("counted/state", shard) > 0
        counts += np.bincount(part.column("counted/category", shard)[present], minlength=len(counts))
    return counts


def evaluate_multi_label(
    backbone: Backbone,
    samples: Samples,
    *,
    size: int,
    precision: str,
    machine: ComputeDevice,
    train_positives: Sequence[int] | NDArray[np.int64],
    positive_threshold: float = 0.7,
    most: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Evaluate sigmoid scores on the images of a split, at `most` so many; return JSON-able metrics.

    `verified` counts only entries that a person states, or that follow from such a statement, present or absent; a
    category needs one of each. `unknown_as_absent` takes what is not stated present as a negative, as the published
    evaluation does; labels of a machine are positive from a confidence of `positive_threshold`, and left out below it.
    `calibration` tells for both kinds of entries if scores are probabilities; `f1` and the `threshold` of a category
    tell from which score on labels have the best F1 on this split, over the latter entries.
    `bands` gives both by the number of training images, `depths` by the number of steps to a root of the hierarchy;
    `at_k` uses the latter, and has beside it what always naming the most frequent category of the training gives.
    `hierarchy` gives how often an ancestor scores below its descendant, `examples` are images with labels that are
    right and wrong (see `example_images`), with their row in the split.

    Raises:
        TrainingError: `no-image` if no image of the split has bytes.
    """
    rows = _usable(samples)[:most]
    categories = samples.dataset.categories
    n = len(categories)
    counts = np.asarray(train_positives, np.int64)
    usual = int(counts.argmax())
    running = RunningMetrics(categories.parents, usual, positive_threshold, machine.device)
    entries: list[tuple[int, SparseLabels]] = []
    with score_table(len(rows), n) as scores:
        done = 0
        for chosen, images in viewed(samples, rows.tolist(), size, forward_images(machine.device, size)):
            logits = outputs_of(backbone.logits, images, machine, precision)
            labels = samples.labels(chosen)
            running.add(logits, labels)
            scores[done : done + len(chosen)] = logits.cpu().numpy()
            entries.append((done, labels))
            done += len(chosen)
            progress(done, len(rows))
        image, category, target = entries_of(entries)
        table = EntryTable(len(rows), n, image, category, target, positive_threshold)
        verified, assumed = (
            average_precision(scores, partial(table.block, verified=kind)) for kind in (True, False)
        )
        best = running.assumed.best_threshold()
        own = (
            None if best is None else own_thresholds(scores, partial(table.block, verified=False), best.score)
        )
        shown_images = (
            []
            if best is None
            else example_images(
                scores,
                by_image(len(rows), image, category, target),
                CategoryTree(categories.parents, counts.tolist()),
                best.score,
                positive_threshold,
                samples.ids(rows.tolist()),
            )
        )
    everything = np.arange(n)
    deep, told = np.array(depths(categories.parents)), running.record()
    return {
        "format": FORMAT,
        "kind": "multi_label",
        "split": samples.split.name,
        "images": len(rows),
        "positive_threshold": positive_threshold,
        "verified": _summary(verified, everything),
        "unknown_as_absent": _summary(assumed, everything),
        "bands": [
            {
                "from": low,
                "to": high,
                "categories": len(members),
                "verified": _summary(verified, members),
                "unknown_as_absent": _summary(assumed, members),
            }
            for low, high, members in bands(counts)
        ],
        "depths": [
            {
                "depth": depth,
                "categories": len(members),
                "verified": _summary(verified, members),
                "unknown_as_absent": _summary(assumed, members),
            }
            for depth in range(int(deep.max(initial=0)) + 1)
            if len(members := np.flatnonzero(deep == depth))
        ],
        **told,
        "always": {
            "wnid": categories.wnid[usual],
            "name": categories.names[usual],
            "precision": told["always"],
        },
        "f1": None
        if best is None or own is None
        else {
            "threshold": best.score,
            "precision": best.precision,
            "recall": best.recall,
            "micro": best.f1,
            "macro": own.common_macro,
            "own_thresholds": int((~np.isnan(own.threshold)).sum()),
            "macro_with_own": own.macro,
            "micro_with_own": own.micro,
        },
        "examples": [{**one, "row": int(rows[one["image"]])} for one in shown_images],
        "categories": [
            {
                "wnid": categories.wnid[i],
                "name": categories.names[i],
                "train_positives": int(counts[i]),
                "positives": int(table.positives[i]),
                "negatives": int(table.negatives[i]),
                "verified": _number(verified.value[i]),
                "unknown_as_absent": _number(assumed.value[i]),
                "threshold": None if own is None else _number(own.threshold[i]),
            }
            for i in range(n)
        ],
    }


def evaluate_single_label(
    backbone: Backbone,
    samples: Samples,
    names: Sequence[tuple[str, str]],
    *,
    size: int,
    precision: str,
    machine: ComputeDevice,
    most: int | None = None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Return the top-1 and top-5 accuracy of softmax scores on the images of a split that have a class, JSON-able.

    `names` are the (WordNet id, name) of each class; at `most` so many images are looked at.

    Raises:
        TrainingError: `no-image` if no image of the split has bytes and a class.
    """
    rows = _usable(samples)[:most]
    images_of, right = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    among = done = 0
    for chosen, images in viewed(samples, rows.tolist(), size, forward_images(machine.device, size)):
        logits = logits_of(backbone.logits, images, machine, precision)
        label = samples.labels(chosen).category
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices
        hit = best == label[:, None]
        images_of += np.bincount(label.numpy(), minlength=len(names))
        right += np.bincount(label[hit[:, 0]].numpy(), minlength=len(names))
        among += int(hit.any(dim=1).sum())
        done += len(chosen)
        progress(done, len(rows))
    return {
        "format": FORMAT,
        "kind": "single_label",
        "split": samples.split.name,
        "images": done,
        "top1": int(right.sum()) / done,
        "top5": among / done,
        "categories": [
            {"wnid": wnid, "name": name, "images": int(count), "top1": _ratio(hits, count)}
            for (wnid, name), count, hits in zip(names, images_of.tolist(), right.tolist(), strict=True)
        ],
    }


def _usable(samples: Samples) -> NDArray[np.int64]:
    masks = samples.usable()
    rows = np.flatnonzero(np.concatenate([*masks, np.zeros(0, bool)])).astype(np.int64)
    if not len(rows):
        hint = (
            "a spec's `split: {validation: 0.01}` sets images aside; `mlimg info` counts those of each split"
        )
        raise TrainingError(
            Problem("no-image", f"no image of {samples.split.name} can be evaluated", hint=hint)
        )
    return rows


def _summary(found: AveragePrecision, members: NDArray[np.int64]) -> dict[str, Any]:
    value, baseline = found.value[members], found.baseline[members]
    return {"map": mean(value), "categories": int((~np.isnan(value)).sum()), "baseline": mean(baseline)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
