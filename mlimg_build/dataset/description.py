"""Describe a dataset by the counts that it stores; no shard is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlimg_build.dataset.format.layout import FORMAT
from mlimg_build.dataset.read.dataset import open_dataset

__all__ = ["copies_in_words", "info"]

TOP = 10
OWN = {"attributes_digest", "copies", "counts", "digest", "format", "layout", "spec", "splits", "tables"}


def info(path: str | Path) -> dict[str, Any]:
    """Return what the dataset at `path` holds, JSON-able: images, labels, categories, digests, and what wrote it.

    `images` are rows; labels and categories count images with the same bytes once, as `copies` says.
    `attributes` are those that the writer added, without the text of the spec.

    Raises:
        DatasetError: those of `open_dataset`.
        DamagedDataset: if the categories cannot be read.
    """
    with open_dataset(path) as dataset:
        counts: dict[str, dict[str, Any]] = dataset.attributes["counts"]
        parts = list(counts.values())
        labels = [part["counted"]["labels"] for part in parts]
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
            "copies": {
                **dataset.attributes.get("copies", {}),
                "not_counted": {
                    name: part["images"] - part["counted"]["images"] for name, part in counts.items()
                },
            },
            "labels": {
                "present": sum(label["present"] for label in labels),
                "absent": sum(label["absent"] for label in labels),
                "rules": _sum_states(label["rules"] for label in labels),
                "sources": _sum_states(label["sources"] for label in labels),
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


def copies_in_words(told: Mapping[str, Any]) -> str:
    """Return the attribute `copies` of a dataset in words; "" if it is empty.

    >>> copies_in_words({"exact": "merge", "basis": "whole", "groups": 1, "images": 2, "across_splits": 1})
    '2 images are copies, of 1 file (1 across splits); each file counts once, with all its labels'
    """
    if not told:
        return ""
    rest = {
        "fraction": "only the images of this fraction were compared",
        "lock": "copies outside this fraction are those of the lock",
    }.get(told["basis"], "")
    groups, images = int(told["groups"]), int(told["images"])
    if not groups:
        return "none" + (f"; {rest}" if rest else "")
    parts = {
        "other_labels": "with other labels",
        "across_splits": "across splits",
        "across_sources": "across sources",
    }
    listed = ", ".join(f"{told[name]:,} {words}" for name, words in parts.items() if told.get(name))
    counted = (
        "each file counts once, with all its labels"
        if told["exact"] == "merge"
        else "each copy counts, with its own labels"
    )
    return "; ".join(
        text
        for text in (
            f"{images:,} images are copies, of {groups:,} {'file' if groups == 1 else 'files'}"
            + (f" ({listed})" if listed else ""),
            counted,
            rest,
        )
        if text
    )


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
