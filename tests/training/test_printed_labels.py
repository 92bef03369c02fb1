"""What a person reads of a prediction: specific labels with their paths upwards, else the closest."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

pytest.importorskip("torch", reason="the extra `train` is not installed")

from mlimg_build.terminal.label_lines import label_lines, share_of_100
from mlimg_build.training.evaluate.category_tree import CategoryTree, PrintedPaths
from mlimg_build.training.predict.predictions import Predicted, Score

NAMES = ["cat", "feline", "animal", "pet", "entity", "car", "whole"]
CAT, FELINE, ANIMAL, PET, ENTITY, CAR, WHOLE = range(7)
PARENTS = [[FELINE, PET], [ANIMAL], [WHOLE], [ANIMAL], [], [WHOLE], [ENTITY]]
POSITIVES = [30, 40, 60, 35, 100, 40, 98]
TREE = CategoryTree(PARENTS, POSITIVES)


def scores_of(**scores: float) -> np.ndarray:
    """The scores of the categories by name; 0.01 for the others."""
    return np.array([scores.get(name, 0.01) for name in NAMES])


def told(
    scores: np.ndarray, least: float | None = None, top: int = 5, likely: float = 0.5, width: int = 80
) -> list[str]:
    """The printed lines of an image with these scores."""
    made = TREE.printed(scores, likely, least, top)
    image = predicted(made, NAMES)
    return [line.strip() for line in label_lines(image, likely if least is None else least, width)]


def predicted(made: PrintedPaths, names: list[str]) -> Predicted:
    """An image with these paths, as `predict` makes it."""
    paths = tuple(tuple(Score("n", names[number], shown) for number, shown in path) for path in made.paths)
    part = None if made.part is None else Score("n", names[made.part[0]], made.part[1])
    return Predicted(Path("a.jpg"), "ok", "", (), paths, made.reached, part)


def test_a_label_has_its_path_and_what_every_picture_shows_is_left_out() -> None:
    scores = scores_of(cat=0.66, feline=0.71, animal=0.84, whole=0.99, entity=1.0)
    assert told(scores) == ["cat 66 % < feline 71 % < animal 84 %"]


def test_where_only_labels_with_parts_are_given_the_closest_part_is_told() -> None:
    scores = scores_of(cat=0.2, feline=0.3, animal=0.84, car=0.1, whole=0.99, entity=1.0)
    assert told(scores) == ["animal 84 %", "nothing more specific reaches 50 %; closest: cat 20 %"]
    assert told(scores_of(animal=0.8, cat=0.1, car=0.7)) == ["animal 80 %", "car 70 %"]


def test_labels_are_ordered_by_score_one_a_line() -> None:
    scores = scores_of(cat=0.66, feline=0.71, animal=0.84, car=0.8, whole=0.99, entity=1.0)
    assert told(scores) == ["car 80 %", "cat 66 % < feline 71 % < animal 84 %"]
    assert told(scores, top=1) == ["car 80 %"]


def test_of_two_parents_the_path_follows_the_one_that_scores_higher() -> None:
    assert told(scores_of(cat=0.6, feline=0.7, pet=0.8, animal=0.9)) == ["cat 60 % < pet 80 % < animal 90 %"]
    assert told(scores_of(cat=0.6, feline=0.7, pet=0.7, animal=0.9)) == [
        "cat 60 % < feline 70 % < animal 90 %"
    ]


def test_a_parent_that_says_something_goes_before_one_that_does_not() -> None:
    tree = CategoryTree([[1, 2], [], [1], [1]], [10, 100, 20, 30])
    scores = np.array([0.6, 0.99, 0.3, 0.1])
    assert tree.path(scores, 0) == [2, 1]
    assert tree.printed(scores, 0.5, None, 5).paths == (((0, 0.6), (2, 0.6)),)


def test_a_parent_is_never_shown_below_its_part_and_the_same_everywhere() -> None:
    scores = scores_of(cat=0.9, feline=0.55, animal=0.3, pet=0.2)
    assert told(scores) == ["cat 90 % < feline 90 % < animal 90 %"]
    tree = CategoryTree([[2], [2], []])  # two parts of one: it has one score in both lines
    assert tree.printed(np.array([0.6, 0.8, 0.5]), 0.5, None, 5).paths == (
        ((1, 0.8), (2, 0.8)),
        ((0, 0.6), (2, 0.8)),
    )


def test_a_likely_general_label_without_a_likely_part_is_specific() -> None:
    lines = told(scores_of(cat=0.3, feline=0.4, animal=0.84, whole=0.9))
    assert lines == ["animal 84 %", "nothing more specific reaches 50 %; closest: cat 30 %"]


def test_where_nothing_specific_is_likely_it_says_so_and_gives_the_closest() -> None:
    scores = scores_of(cat=0.22, feline=0.25, animal=0.31, whole=0.99, entity=1.0)
    assert told(scores, likely=0.34) == [
        "nothing reaches 34 %; closest: cat 22 % < feline 25 % < animal 31 %"
    ]
    # the best part counts, also where what is between scores lower
    tree = CategoryTree([[1], [4], [3], [4], []])
    scores = np.array([0.4, 0.1, 0.3, 0.35, 0.45])
    assert tree.printed(scores, 0.5, None, 5).paths == (((0, 0.4), (1, 0.4), (4, 0.45)),)
    # a part with less than half of the best score is not closer than it
    assert told(scores_of(cat=0.05, feline=0.1, animal=0.31)) == [
        "nothing reaches 50 %; closest: animal 31 %"
    ]


def test_a_threshold_and_the_closest_are_not_rounded_to_the_same_number() -> None:
    assert told(scores_of(car=0.336), likely=0.344) == ["nothing reaches 34.4 %; closest: car 33.6 %"]
    assert told(scores_of(car=0.3359), likely=0.336) == ["nothing reaches 33.60 %; closest: car 33.59 %"]


def test_a_threshold_of_a_person_goes_before_that_of_the_model() -> None:
    scores = scores_of(cat=0.2, feline=0.4, animal=0.84, car=0.1)
    assert told(scores, 0.9) == ["nothing reaches 90 %; closest: animal 84 %"]
    # a lower one adds labels, and what is likely is in a line of its own or above one of them
    assert told(scores, 0.1) == ["cat 20 % < feline 40 % < animal 84 %", "car 10 %"]
    assert told(scores, 0.1, top=1) == ["animal 84 %"]


def test_a_frequent_category_without_parts_or_beside_others_says_something() -> None:
    assert not CategoryTree([[], []], [100, 3]).left_out.any()
    # person with a part, and as many chairs
    assert not CategoryTree([[1], [], []], [50, 100, 80]).left_out.any()
    assert not CategoryTree(PARENTS, [0] * 7).left_out.any()
    assert not CategoryTree(PARENTS).left_out.any()


def test_what_is_above_something_that_says_nothing_says_nothing() -> None:
    # labels need not imply their ancestors: then a root may have fewer images than its part
    assert CategoryTree([[1], [2], []], [10, 100, 5]).left_out.tolist() == [False, True, True]


LONG = ["tabby", "domestic cat", "cat", "feline", "carnivore", "placental mammal", "mammal", "vertebrate"]
CHAIN = CategoryTree([[i + 1] for i in range(len(LONG) - 1)] + [[]])


def chain(width: int, scores: float = 0.9) -> list[str]:
    made = CHAIN.printed(np.full(len(LONG), scores), 0.5, None, 5)
    return list(label_lines(predicted(made, LONG), 0.5, width))


def test_a_long_path_keeps_the_label_and_the_nearest_within_the_width() -> None:
    assert chain(80) == ["  tabby 90 % < domestic cat 90 % < cat 90 % < feline 90 % < carnivore 90 % < …"]
    assert chain(100_000)[0].endswith("mammal 90 % < vertebrate 90 %")
    assert chain(30) == ["  tabby 90 % < …"]
    assert chain(12) == ["  tabby 90 %"]
    assert chain(10) == ["  ta… 90 %"]


def test_the_closest_has_a_line_of_its_own_where_both_do_not_fit() -> None:
    assert chain(40, 0.4) == [
        "  nothing reaches 50 %; closest:",
        "    tabby 40 % < domestic cat 40 % < …",
    ]
    assert chain(60, 0.4) == ["  nothing reaches 50 %; closest: tabby 40 % < …"]


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_score_that_is_not_lower_is_not_written_as_lower(one: float, other: float) -> None:
    low, high = (float(share_of_100(score).removesuffix(" %")) for score in sorted((one, other)))
    assert low <= high


@given(st.integers(12, 120), st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=6))
def test_no_line_is_wider_than_the_terminal(width: int, names: list[str]) -> None:
    path = tuple(Score("n", name, 0.6) for name in names)
    for line in label_lines(Predicted(Path("a"), "ok", "", (), (path,)), 0.5, width):
        assert cell_len(line) <= width
        assert "\n" not in line


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[list[int]], list[int], np.ndarray]:
    """A hierarchy in which a category may have several parents, numbers of images, and scores."""
    count = draw(st.integers(1, 9))
    parents = [
        draw(st.lists(st.integers(number + 1, count - 1), unique=True, max_size=3))
        if number + 1 < count
        else []
        for number in range(count)
    ]
    positives = draw(st.lists(st.integers(0, 100), min_size=count, max_size=count))
    scores = draw(st.lists(st.floats(0, 1).map(lambda one: round(one, 2)), min_size=count, max_size=count))
    return parents, positives, np.array(scores)


@given(cases(), st.floats(0, 1), st.none() | st.floats(0, 1), st.integers(1, 9))
def test_parents_are_never_below_their_parts_and_labels_are_likely_or_said_to_be_the_closest(
    case: tuple[list[list[int]], list[int], np.ndarray], likely: float, least: float | None, top: int
) -> None:
    parents, positives, scores = case
    tree = CategoryTree(parents, positives)
    made = tree.printed(scores, likely, least, top)
    enough = likely if least is None else least
    assert 1 <= len(made.paths) <= top
    shown: dict[int, float] = {}
    for path in made.paths:
        for number, score in path:
            assert not tree.left_out[number]
            assert score >= scores[number]
            assert shown.setdefault(number, score) == score
        for (low, below), (high, above) in pairwise(path):
            assert high in parents[low]
            assert above >= below
            assert all(scores[other] <= scores[high] or tree.left_out[other] for other in parents[low])
        last = path[-1][0]
        assert all(tree.left_out[above] for above in parents[last])
    for number, score in shown.items():  # also across lines
        assert all(shown.get(parent, 1.0) >= score for parent in parents[number])
    if made.reached:
        assert all(score >= enough for score in shown.values())
        firsts = [path[0] for path in made.paths]
        assert [score for _, score in firsts] == sorted((score for _, score in firsts), reverse=True)
        assert all(score == scores[number] for number, score in firsts)
    else:
        assert len(made.paths) == 1
        assert all(score < enough for score in shown.values())
    assert made.reached == bool((scores[~tree.left_out] >= enough).any())
