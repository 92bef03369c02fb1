"""Co-occurrence on real label rows: learnt on one half, judged on the other, beside a plain threshold.

A label of a row counts as foretold where a pair leads to it from another label of the row; a pair that leads to a
category which the row lacks counts as wrong (rows are not complete, so precision is rather better than it looks).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from mlimg_build.labels import (
    Block,
    Counts,
    Hierarchy,
    Named,
    count_together,
    decide,
    from_graph,
    learn_pairs,
)
from mlimg_build.wordnet import NounGraph


@dataclass(frozen=True, slots=True)
class Rows:
    """Label rows cut in two by the hash of the image: what one half counts, and the labels of the other."""

    hierarchy: Hierarchy
    counts: Counts
    judged: sparse.csr_array


@dataclass(frozen=True, slots=True)
class Figures:
    pairs: int
    precision: float
    recall: float
    wrong: float  # labels an image


def rows_of(folder: Path, kind: str) -> Iterator[tuple[str, list[str]]]:
    name, column = {"coco": ("coco_val2017", "labels"), "open_images": ("open_images_rows", "mids")}[kind]
    with (folder / "label-rows" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        yield from ((row["image"], row[column].split("|")) for row in csv.DictReader(stream))


def names_of(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for version in ("v6", "v1"):
        path = folder / "open-images" / f"class-descriptions-{version}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            found |= {row[0]: row[1] for row in csv.reader(stream)}
    return found


def read(folder: Path, kind: str, graph: NounGraph) -> Rows:
    names = names_of(folder) if kind == "open_images" else {}
    rows = [*rows_of(folder, kind)]
    labels = sorted({label for _, listed in rows for label in listed})
    decisions = decide([Named(kind, label, names.get(label, label)) for label in labels], graph)
    wnid = {one.id: one.wnid for one in decisions if one.wnid and one.relation == "same_as"}
    wnids = sorted(set(wnid.values()))
    at = {one: i for i, one in enumerate(wnids)}
    hierarchy = from_graph(graph, wnids)
    halves: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for number, (image, listed) in enumerate(rows):
        half = halves[hashlib.sha256(image.encode()).digest()[0] & 1]
        half += [(number, at[wnid[label]]) for label in listed if label in wnid]
    (image, category), (other, judged) = (np.array(half).T for half in halves)
    counts = count_together([Block(image, category.astype(np.int32))], hierarchy)
    _, row = np.unique(other, return_inverse=True)
    stated = sparse.csr_array((np.ones(len(row)), (row, judged)), shape=(row.max() + 1, len(wnids)))
    return Rows(
        hierarchy, counts, sparse.csr_array((stated + stated @ (hierarchy.hops > 0)) > 0).astype(np.int64)
    )


def judge(rows: Rows, share: float, confidence: float, min_images: int) -> Figures:
    pairs = learn_pairs(
        rows.counts, rows.hierarchy, min_probability=share, min_images=min_images, confidence=confidence
    )
    leads = (pairs.relation(len(rows.hierarchy)) > 0).astype(np.int64)
    added = sparse.csr_array((rows.judged @ leads) > 0)
    right = int(added.multiply(rows.judged).sum())
    wrong = int(added.sum()) - right
    return Figures(
        len(pairs),
        right / max(right + wrong, 1),
        right / int(rows.judged.sum()),
        wrong / rows.judged.shape[0],
    )


@pytest.mark.parametrize("kind", ["coco", "open_images"])
def test_a_bound_foretells_better_than_a_share(
    shared_data: Path, wordnet: NounGraph, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read(shared_data, kind, wordnet)
    policies = {
        f"{name}, {share:.1f}": judge(rows, share, confidence, images)
        for share in (0.5, 0.6, 0.7, 0.8)
        for name, confidence, images in (
            ("share", 0.5, 1),
            ("share of 20", 0.5, 20),
            ("bound", 0.95, 1),
            ("bound of 20", 0.95, 20),
        )
    }
    with capsys.disabled():
        print(f"\n{kind}: {rows.counts.rows} rows to learn from, {rows.judged.shape[0]} to judge")
        for name, found in policies.items():
            print(
                f"  {name:16} {found.pairs:5} pairs, precision {found.precision:6.1%}, "
                f"recall {found.recall:6.1%}, {found.wrong:.2f} wrong an image"
            )
    plain, bound = policies["share, 0.7"], policies["bound, 0.7"]
    assert bound.precision > plain.precision
    assert bound.wrong < plain.wrong * 0.75
    assert bound.recall >= policies["bound of 20, 0.7"].recall, "a bound needs no smallest number of images"
    if kind == "open_images":  # where many categories are rare, as in any large vocabulary
        curve = [judge(rows, share / 100, 0.5, 1) for share in range(50, 100)]
        for share in (0.5, 0.6, 0.7):
            bound = policies[f"bound, {share:.1f}"]
            near = min(curve, key=lambda found: abs(found.recall - bound.recall))
            with capsys.disabled():
                print(
                    f"  at recall {bound.recall:.1%}: bound {bound.precision:.1%}, plain {near.precision:.1%}"
                )
            assert bound.precision > near.precision + (0 if share == 0.5 else 0.05), (
                "at about the same recall"
            )
