"""The origin of a category: its source categories, its ancestors and children, and the rules of its labels."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from mlimg_build.category_ids import is_own
from mlimg_build.dataset import Dataset
from mlimg_build.explain.category_senses import graph_of, sense_of
from mlimg_build.explain.spec_lines import STATES, SpecLocations, categories_named, statement_text
from mlimg_build.wordnet import shipped_glosses

__all__ = ["describe_category"]

MOST = 8  # categories listed that labels came through


def describe_category(dataset: Dataset, text: str) -> dict[str, Any]:
    """Return the origin and the labels of the categories with the id or the name `text`; JSON-able.

    Every label column is read once, shard by shard.

    Raises:
        DatasetError: `category-unknown` if there is none.
    """
    places = SpecLocations(dataset)
    return {"categories": [_portrait(dataset, places, number) for number in categories_named(dataset, text)]}


def _portrait(dataset: Dataset, places: SpecLocations, number: int) -> dict[str, Any]:
    categories = dataset.categories
    children = [i for i, above in enumerate(categories.parents) if number in above]
    origins = [
        {
            "source": row.source,
            "id": row.id,
            "name": row.name,
            "text": statement_text(dataset, row),
            "narrower": row.narrower,
            "place": places.of_method(row.method, row.synset or ""),
        }
        for row in dataset.mappings[:]
        if row.category == number
    ]
    return {
        "wnid": categories.wnid[number],
        "name": categories.names[number],
        "sense": sense_of(dataset, number, graph_of(dataset)),
        "gloss": _gloss(dataset, categories.wnid[number]),
        "present": int(categories.positives[number]),
        "absent": int(categories.negatives[number]),
        "parents": [_named(dataset, i) for i in categories.parents[number]],
        "above": [_named(dataset, i) for i in _above(dataset, number)],
        "children": [_named(dataset, i) for i in children],
        "origins": origins,
        "declared": None if origins else places.of("vocabulary"),
        "own": places.of_own(categories.wnid[number]) if is_own(categories.wnid[number]) else None,
        "labels": _labels(dataset, places, number),
        "pairs": [
            {
                "antecedent": _named(dataset, pair.antecedent),
                "consequent": _named(dataset, pair.consequent),
                "together": pair.together,
                "images": pair.images,
                "bound": round(pair.bound, 4),
                "place": places.of("annotation", "cooccurrence"),
            }
            for pair in dataset.pairs
            if number in (pair.antecedent, pair.consequent)
        ],
    }


def _gloss(dataset: Dataset, wnid: str) -> str | None:
    """Return the gloss of a synset if the dataset was made with the WordNet that ships; None otherwise."""
    record = dataset.attributes.get("wordnet")
    known = shipped_glosses(str(record.get("digest"))) if isinstance(record, dict) else None
    return (known.of(wnid) or None) if known is not None and not is_own(wnid) else None


def _labels(dataset: Dataset, places: SpecLocations, number: int) -> list[dict[str, Any]]:
    """Return an entry per state, rule and source: the number of counted labels, and what they came through."""
    found: Counter[tuple[int, int, int, int]] = Counter()
    for split in dataset.splits.values():
        for shard in range(split.shards):
            chosen = split.column("counted/category", shard) == number
            columns = [
                split.column(f"counted/{name}", shard)[chosen] for name in ("state", "rule", "source", "via")
            ]
            rows, counts = np.unique(
                np.stack([c.astype(np.int64) for c in columns]), axis=1, return_counts=True
            )
            for row, count in zip(rows.T.tolist(), counts.tolist(), strict=True):
                found[tuple(row)] += count
    groups: dict[tuple[int, int, int], Counter[int]] = {}
    for (state, rule, source, via), count in found.items():
        groups.setdefault((state, rule, source), Counter())[via] += count
    order = sorted(groups.items(), key=lambda item: (-item[0][0], item[0][1], -sum(item[1].values())))
    return [
        {
            "state": STATES[state],
            "rule": dataset.rules[rule],
            "source": dataset.sources[source],
            "labels": sum(through.values()),
            "through": [[_named(dataset, via), count] for via, count in through.most_common(MOST)],
            "more": max(0, len(through) - MOST),
            "place": places.of_rule(dataset.rules[rule], state, dataset.sources[source]),
        }
        for (state, rule, source), through in order
    ]


def _named(dataset: Dataset, number: int) -> str:
    return f"{dataset.categories.names[number]} {dataset.categories.wnid[number]}"


def _above(dataset: Dataset, number: int) -> list[int]:
    """Return every ancestor, nearest first."""
    found: dict[int, None] = {}
    front = dict.fromkeys(dataset.categories.parents[number])
    while front:
        found |= front
        front = dict.fromkeys(j for i in front for j in dataset.categories.parents[i] if j not in found)
    return list(found)
