"""Doubtful pairs on real label rows: what the doubts cost and spare, within a source and across; -s prints it.

Learnt on one half of the rows of a source (by the hash of the image) and judged on the other, or learnt from one
source and judged on another, which is what `add_to` does. All ancestors are categories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from mlimg_build.labels import Block, Named, Pairs, count_together, decide, from_graph, learn_pairs
from mlimg_build.labels.derivation.pair_doubts import information_content, judge_pairs
from mlimg_build.wordnet import NounGraph
from tests.labels.test_label_cooccurrence_rows import names_of, rows_of

SETTINGS = {
    "no doubts": (0.0, np.inf),
    "content 0.5": (0.5, np.inf),
    "ratio 5": (0.0, 5.0),
    "the default: content 0.5, ratio 5": (0.5, 5.0),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """Pairs that one set of rows teaches, and the labels (with those above) of the rows they are judged on."""

    pairs: Pairs
    content: npt.NDArray[np.float64]
    judged: sparse.csr_array

    def figures(self, kept: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
        """Precision, recall, and wrong labels an image of the pairs that are kept."""
        n = self.judged.shape[1]
        low, high = self.pairs.antecedent[kept], self.pairs.consequent[kept]
        leads = sparse.csr_array((np.ones(len(low), np.int64), (low, high)), shape=(n, n))
        foretold = sparse.csr_array((self.judged @ leads) > 0)
        right = int(foretold.multiply(self.judged).sum())
        wrong = int(foretold.sum()) - right
        return right / max(right + wrong, 1), right / int(self.judged.sum()), wrong / self.judged.shape[0]

    def adds(self) -> npt.NDArray[np.int64]:
        """The labels that each pair would add to the judged rows."""
        shown = np.asarray(self.judged.sum(axis=0)).ravel()
        both = np.asarray((self.judged.T @ self.judged)[self.pairs.antecedent, self.pairs.consequent]).ravel()
        found: npt.NDArray[np.int64] = (shown[self.pairs.antecedent] - both).astype(np.int64)
        return found

    def kept(self, min_content: float, max_ratio: float) -> npt.NDArray[np.bool_]:
        """The pairs that are not doubtful."""
        content = self.content[self.pairs.antecedent]
        return (
            judge_pairs(self.pairs, self.adds(), content, min_content=min_content, max_ratio=max_ratio) == 0
        )


def decided(folder: Path, kind: str, graph: NounGraph) -> dict[str, str]:
    """The synsets of the labels of a source's rows."""
    names = names_of(folder) if kind == "open_images" else {}
    labels = sorted({label for _, row in rows_of(folder, kind) for label in row})
    made = decide([Named(kind, label, names.get(label, label)) for label in labels], graph)
    return {one.id: one.wnid for one in made if one.wnid and one.relation == "same_as"}


def statements(folder: Path, kind: str, at: dict[str, int], half: int | None) -> Iterator[tuple[int, int]]:
    """(row, category) of every label; of one half of the rows where `half` is 0 or 1."""
    for number, (image, labels) in enumerate(rows_of(folder, kind)):
        if half is None or hashlib.sha256(image.encode()).digest()[0] & 1 == half:
            yield from ((number, at[label]) for label in labels if label in at)


def trial(folder: Path, graph: NounGraph, learn: str, judge: str) -> Trial:
    synsets = {kind: decided(folder, kind, graph) for kind in {learn, judge}}
    chosen = {wnid for found in synsets.values() for wnid in found.values()}
    wnids = sorted(chosen | {above for wnid in chosen for above in graph.ancestors(wnid)})
    number = {wnid: i for i, wnid in enumerate(wnids)}
    hierarchy = from_graph(graph, wnids)
    halves = (0, 1) if learn == judge else (None, None)
    taught, asked = (
        np.array(
            list(statements(folder, kind, {key: number[wnid] for key, wnid in synsets[kind].items()}, half))
        )
        for kind, half in zip((learn, judge), halves, strict=True)
    )
    counts = count_together([Block(taught[:, 0], taught[:, 1].astype(np.int32))], hierarchy)
    _, row = np.unique(asked[:, 0], return_inverse=True)
    shape = (int(row.max()) + 1, len(wnids))
    stated = sparse.csr_array((np.ones(len(row)), (row, asked[:, 1])), shape=shape)
    judged = sparse.csr_array((stated + stated @ (hierarchy.hops > 0)) > 0).astype(np.int64)
    pairs = learn_pairs(counts, hierarchy, min_probability=0.7, min_images=5)
    return Trial(pairs, information_content(graph, wnids), judged)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("learn", "judge"),
    [("open_images", "open_images"), ("coco", "coco"), ("coco", "open_images"), ("open_images", "coco")],
)
def test_doubts_spare_wrong_labels(shared_data: Path, wordnet: NounGraph, learn: str, judge: str) -> None:
    tried = trial(shared_data, wordnet, learn, judge)
    found = {name: tried.figures(tried.kept(*setting)) for name, setting in SETTINGS.items()}
    for name, (precision, recall, wrong) in found.items():
        print(f"{learn:12} {judge:12} {name:34} {precision:6.1%} {recall:6.1%} {wrong:.3f}")
    default, none = found["the default: content 0.5, ratio 5"], found["no doubts"]
    assert default[2] < none[2], "fewer wrong labels an image"
    if learn == judge:
        assert default[0] > none[0] + 0.02, "of what the pairs say, more is right"
        assert default[1] > 0.7 * none[1], "and most of what they said is still said"
