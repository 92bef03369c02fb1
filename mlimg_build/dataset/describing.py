"""A dataset in numbers, from its own records: no shard is read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from .layout import FORMAT
from .reading import open_dataset

__all__ = ["info"]

TOP = 10
OWN = {"attributes_digest", "counts", "digest", "format", "layout", "spec", "splits", "tables"}


def info(path: str | Path) -> dict[str, Any]:
    """What the dataset at `path` holds, as JSON: images, labels, categories, digests, and what wrote it.

    `attributes` are those that the writer added, but for the text of the spec.

    Raises:
        DatasetError: as `open_dataset`; DamagedDataset where the categories cannot be read.
    """
    with open_dataset(path) as dataset:
        counts: dict[str, dict[str, Any]] = dataset.attributes["counts"]
        parts = list(counts.values())
        categories = dataset.categories
        top = np.argsort(-categories.positives, kind="stable")[:TOP].tolist()
        return {
            "path": str(path),
            "format": FORMAT,
            "digest": dataset.digest,
            "images": sum(part["images"] for part in parts),
            "bytes": sum(part["bytes"] for part in parts),
            "shards": sum(part["shards"] for part in parts),
            "statuses": _sum(part["statuses"] for part in parts),
            "failed": _sum(part["failed"] for part in parts),
            "sources": _sum(part["sources"] for part in parts),
            "labels": {
                "present": sum(part["labels"]["present"] for part in parts),
                "absent": sum(part["labels"]["absent"] for part in parts),
                "rules": _sum_states(part["labels"]["rules"] for part in parts),
                "sources": _sum_states(part["labels"]["sources"] for part in parts),
            },
            "contradictions": _sum(part["contradictions"] for part in parts),
            "categories": {
                "count": len(categories),
                "with_positives": int((categories.positives > 0).sum()),
                "roots": int((np.diff(categories.parent_start) == 0).sum()),
                "top": [
                    {
                        "wnid": categories.wnid[number],
                        "name": categories.names[number],
                        "positives": int(categories.positives[number]),
                        "negatives": int(categories.negatives[number]),
                    }
                    for number in top
                ],
            },
            "mappings": len(dataset.mappings),
            "splits": counts,
            "layout": dataset.attributes["layout"],
            "attributes": {name: value for name, value in dataset.attributes.items() if name not in OWN},
        }


def _sum(parts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def _sum_states(parts: Any) -> dict[str, dict[str, int]]:
    total: dict[str, Counter[str]] = {}
    for part in parts:
        for name, states in part.items():
            total.setdefault(name, Counter()).update(states)
    return {name: dict(states) for name, states in sorted(total.items())}
