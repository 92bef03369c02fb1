"""A model folder written by hand, with numbers such as a training leaves."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

from mlimg_build.dataset import open_dataset

STEPS = 600


def write_model(folder: Path, dataset: Path, name: str = "hand") -> Path:
    """`folder` describes a network of this dataset's categories, its training and its transfer."""
    chance = random.Random(name)
    with open_dataset(dataset) as opened:
        categories, digest = opened.categories, opened.digest
        listed = [
            {"wnid": wnid, "name": called, "parents": list(parents), "positives": int(positives)}
            for wnid, called, parents, positives in zip(
                categories.wnid, categories.names, categories.parents, categories.positives, strict=True
            )
        ]
    model = {
        "format": "mlimg-model/1",
        "name": name,
        "version": "1.0.0",
        "architecture": "resnet18",
        "image_size": 64,
        "activation": "sigmoid",
        "categories": listed,
        "digests": {"spec": "5" * 64, "dataset": digest, "weights": "7" * 64},
        "step": STEPS,
        "epochs": 12.5,
        "training": {},
        "versions": {"torch": "2.11.0", "torchvision": "0.26.0"},
    }
    history = []
    for step in range(1, STEPS + 1):
        near = 1 - math.exp(-step / 150)
        history.append(
            {
                "kind": "step",
                "step": step,
                "epoch": step / 48,
                "loss": 3.2 - 2.4 * near + chance.gauss(0, 0.16),
                "rate": 0.01 * min(1, step / 60) * (1 + math.cos(math.pi * step / STEPS)) / 2,
                "images_per_second": 230.0,
            }
        )
        if step % 60 == 0:
            history.append(
                {
                    "kind": "evaluation",
                    "step": step,
                    "epoch": step / 48,
                    "map": 0.1 + 0.5 * near,
                    "map_verified": 0.25 + 0.5 * near,
                    "baseline": 0.1,
                }
            )
    transfer = folder / "transfer"
    (transfer / "scratch").mkdir(parents=True)
    save(folder / "model.json", model)
    lines(folder / "history.jsonl", history)
    save(folder / "evaluation.json", evaluation(listed, chance))
    save(transfer / "evaluation.json", single(listed, chance))
    lines(transfer / "history.jsonl", tuned(chance, 0.8))
    lines(transfer / "scratch" / "history.jsonl", tuned(chance, 0.45))
    return folder


def evaluation(listed: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """evaluation.json of a network with many labels an image."""

    def precision(value: float | None, count: int, baseline: float | None) -> dict[str, Any]:
        return {"map": value, "categories": count, "baseline": baseline}

    return {
        "format": "mlimg-evaluation/1",
        "kind": "multi_label",
        "split": "validation",
        "images": 70,
        "step": STEPS,
        "verified": precision(0.714, 20, 0.41),
        "unknown_as_absent": precision(0.583, len(listed), 0.12),
        "bands": [
            {
                "from": low,
                "to": high,
                "categories": count,
                "verified": precision(value, count, base),
                "unknown_as_absent": precision(value - 0.1, count, base / 2),
            }
            for low, high, count, value, base in (
                (1, 9, 12, 0.31, 0.05),
                (10, 99, 31, 0.62, 0.2),
                (100, 999, 9, 0.81, 0.5),
                (1000, None, 2, 0.93, 0.8),
            )
        ],
        "at_k": {"1": {"precision": 0.91, "recall": 0.16}, "5": {"precision": 0.74, "recall": 0.58}},
        "hierarchy": {"pairs": 211, "share": 0.0231, "share_confident": 0.004},
        "categories": [
            {
                "wnid": row["wnid"],
                "name": row["name"],
                "train_positives": row["positives"],
                "positives": row["positives"] // 5,
                "negatives": 3,
                "verified": chance.random() if number % 3 else None,
                "unknown_as_absent": chance.random(),
            }
            for number, row in enumerate(listed)
        ],
    }


def single(listed: list[dict[str, Any]], chance: random.Random) -> dict[str, Any]:
    """evaluation.json of a network with one label an image."""
    return {
        "format": "mlimg-evaluation/1",
        "kind": "single_label",
        "split": "transfer_validation",
        "images": 392,
        "step": 200,
        "top1": 0.684,
        "top5": 0.9,
        "categories": [
            {"wnid": row["wnid"], "name": row["name"], "images": 5, "top1": chance.random()}
            for row in listed[:10]
        ],
        "scratch": {"top1": 0.402, "top5": 0.71, "step": 200},
    }


def tuned(chance: random.Random, reached: float) -> list[dict[str, Any]]:
    """The history of a transfer."""
    made: list[dict[str, Any]] = []
    for step in range(1, 201):
        near = 1 - math.exp(-step / 60)
        made.append(
            {
                "kind": "step",
                "step": step,
                "epoch": step / 20,
                "loss": 2.3 - 2 * reached * near + chance.gauss(0, 0.1),
                "rate": 0.001,
            }
        )
        if step % 25 == 0:
            made.append(
                {
                    "kind": "evaluation",
                    "step": step,
                    "epoch": step / 20,
                    "top1": reached * near,
                    "top5": min(1, 1.2 * reached * near),
                }
            )
    return made


def save(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))


def lines(path: Path, values: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
