"""Which labels `mlimg predict` gives: a lower threshold, or room for more, takes none away."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.training.evaluate.category_tree import CategoryTree

# animal ← dog ← corgi, animal ← cat; plant; thing above all
PARENTS = [[5], [0], [1], [0], [5], []]
ANIMAL, DOG, CORGI, CAT, PLANT, THING = range(6)
HIERARCHY = CategoryTree(PARENTS)
scores_of = st.lists(st.floats(0, 1).map(lambda score: round(score, 2)), min_size=6, max_size=6)


def chosen(scores: list[float], least: float | None = None, top: int = 5, likely: float = 0.5) -> list[int]:
    return HIERARCHY.choose(np.array(scores), likely, least, top)


def test_a_lower_threshold_keeps_what_the_default_shows() -> None:
    scores = [0.9, 0.8, 0.4, 0.35, 0.3, 0.95]
    assert chosen(scores) == [DOG, ANIMAL, THING]
    assert chosen(scores, 0.3, 8) == [DOG, ANIMAL, THING, CORGI, CAT, PLANT]
    assert chosen(scores, 0.3, 4) == [DOG, ANIMAL, THING, CORGI]


def test_a_higher_threshold_leaves_out_what_scores_lower() -> None:
    assert chosen([0.9, 0.8, 0.6, 0.1, 0.1, 0.95], 0.7) == [DOG, ANIMAL, THING]


def test_where_nothing_is_likely_the_best_are_given_and_a_threshold_filters_them() -> None:
    scores = [0.4, 0.3, 0.2, 0.1, 0.05, 0.45]
    assert chosen(scores, top=3) == [DOG, ANIMAL, THING]
    assert chosen(scores, 0.35) == [ANIMAL, THING]
    assert chosen(scores, 0.46) == []


def test_a_threshold_of_0_gives_every_label() -> None:
    assert sorted(chosen([0.0, 0.6, 0.0, 0.2, 0.0, 0.1], 0.0, 6)) == [0, 1, 2, 3, 4, 5]


@given(scores_of, st.floats(0, 0.5), st.integers(1, 6), st.integers(0, 6))
def test_lower_thresholds_and_more_room_only_add(
    scores: list[float], least: float, top: int, more: int
) -> None:
    default, lower = chosen(scores, None, top), chosen(scores, least, top + more)
    assert {number for number in default if scores[number] >= least} <= {*lower}
    assert {*chosen(scores, least, top)} <= {*lower}
    if max(scores) >= 0.5:
        assert lower[: len(default)] == default
    assert all(scores[number] >= least for number in lower)
    assert len(lower) == len({*lower}) <= top + more


@given(scores_of, st.floats(0, 1), st.integers(1, 6))
def test_what_scores_enough_is_given_while_there_is_room(scores: list[float], least: float, top: int) -> None:
    enough = sum(score >= least for score in scores)
    assert len(chosen(scores, least, top)) == min(enough, top)
