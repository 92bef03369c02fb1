"""Metrics against definitions written down once more, and against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.training.evaluate.category_tree import CategoryTree  # noqa: E402
from mlimg_build.training.evaluate.metrics import (  # noqa: E402
    Inversions,
    average_precision,
    bands,
    depths,
    implied_pairs,
    mean,
    precision_recall,
)


def slow_average_precision(scores: NDArray[np.float64], target: NDArray[np.int8]) -> float:
    """The sum over thresholds of precision times the gain in recall, by its definition."""
    known = target >= 0
    scores, target = scores[known], target[known]
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = scores >= threshold
        recall = target[chosen].sum() / target.sum()
        total += target[chosen].mean() * (recall - before)
        before = recall
    return total


def test_average_precision_is_its_definition_over_the_entries_that_count() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(0, 3, (60, 300)).round(1).astype(np.float32)
    target = chance.choice([1, 0, -1], (60, 300), p=[0.2, 0.5, 0.3]).astype(np.int8)
    target[:, 5] = -1
    target[:, 6] = 1
    target[:, 7] = 0
    found = average_precision(logits, lambda block: target[:, block])
    for j in range(300):
        if j in (5, 6, 7):
            assert np.isnan(found.value[j])
            assert np.isnan(found.baseline[j])
            continue
        assert found.value[j] == pytest.approx(
            slow_average_precision(logits[:, j].astype(float), target[:, j]), abs=1e-6
        )
        assert found.baseline[j] == pytest.approx(target[target[:, j] >= 0, j].mean())
    constant = average_precision(np.zeros_like(logits), lambda block: target[:, block])
    np.testing.assert_allclose(constant.value, found.baseline, atol=1e-6)


def test_high_scores_are_told_apart() -> None:
    logits = np.array([[30.0], [25.0], [20.0]], np.float32)
    found = average_precision(logits, lambda block: np.array([[1], [0], [0]], np.int8))
    assert found.value[0] == 1.0


def test_precision_and_recall_at_k_count_images_with_a_label() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])
    positive = torch.tensor([[True, False, True, True], [False, False, False, True], [False] * 4])
    found = precision_recall(logits, positive, (1, 2, 10))
    assert found[1] == pytest.approx((1 + 1, 1 / 3 + 1, 2))
    assert found[2] == pytest.approx((0.5 + 0.5, 1 / 3 + 1, 2))
    assert found[10] == pytest.approx((3 / 4 + 1 / 4, 2, 2))


def test_bands_are_powers_of_ten_and_have_every_category_once() -> None:
    counts = [0, 1, 9, 10, 99, 100, 99_999, 100_000]
    found = bands(counts)
    assert [(low, high) for low, high, _ in found] == [
        (0, 0),
        (1, 9),
        (10, 99),
        (100, 999),
        (10_000, 99_999),
        (100_000, None),
    ]
    assert sorted(np.concatenate([members for *_, members in found]).tolist()) == list(range(8))
    assert bands([]) == []
    assert [(low, high) for low, high, _ in bands([0, 0])] == [(0, 0)]


def test_pairs_are_the_closure_and_inversions_are_counted() -> None:
    parents = [(1,), (2, 3), (), (2,)]
    assert {tuple(pair) for pair in implied_pairs(parents).tolist()} == {
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (3, 2),
    }
    assert implied_pairs([(), ()]).shape == (0, 2)
    counter = Inversions(implied_pairs([(1,), ()]))
    counter.add(torch.tensor([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [0.5, 0.5]]))
    assert counter.shares() == {"pairs": 1, "share": 0.5, "share_confident": pytest.approx(1 / 3)}
    assert Inversions(implied_pairs([()])).shares()["share"] is None
    deep = [(i + 1,) for i in range(3000)] + [()]  # no recursion limit
    assert depths(deep)[0] == 3000


def test_the_most_specific_labels_come_first() -> None:
    # 0 tabby → 1 cat → 2 animal; 3 rocket → 4 artifact
    tree = CategoryTree([(1,), (2,), (), (4,), ()])
    scores = np.array([0.7, 0.8, 0.9, 0.6, 0.95])
    assert tree.most_specific(scores, 0.5, 5) == [0, 3, 1, 2, 4] or tree.most_specific(scores, 0.5, 5) == [
        0,
        3,
        1,
        4,
        2,
    ]
    assert tree.most_specific(scores, 0.5, 1) == [0]
    assert tree.most_specific(scores, 0.65, 5)[:2] == [4, 0]
    assert tree.most_specific(scores, 0.99, 5) == []
    low = np.array([0.01, 0.40, 0.49, 0.02, 0.0])
    assert tree.best(low, 0.0, 0.5, 1) == [2]
    assert tree.best(low, 0.0, 0.5, 2) == [1, 2]
    assert mean(np.array([np.nan])) is None
