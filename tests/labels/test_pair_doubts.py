"""Which pairs are doubtful, and how many labels they would add: against counting one image at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.labels import (
    DOUBTS,
    Block,
    Hierarchy,
    Pairs,
    count_lacking,
    from_pairs,
    information_content,
    judge_pairs,
)
from mlimg_build.wordnet import NounGraph

WNIDS = [f"n0000000{i}" for i in range(6)]
HIERARCHY: Hierarchy = from_pairs(WNIDS, [(WNIDS[1], WNIDS[0]), (WNIDS[2], WNIDS[1]), (WNIDS[4], WNIDS[3])])
ABOVE = {0: {0}, 1: {0, 1}, 2: {0, 1, 2}, 3: {3}, 4: {3, 4}, 5: {5}}
CATEGORY = st.integers(0, 5)
IMAGES = st.lists(st.lists(CATEGORY, min_size=1, max_size=4), max_size=12)
PAIRS = st.lists(st.tuples(CATEGORY, CATEGORY), unique=True, max_size=8).map(sorted)


def block(images: list[list[int]], first: int = 0) -> Block:
    rows = [(first + i, category) for i, listed in enumerate(images) for category in listed]
    return Block(
        np.array([image for image, _ in rows], np.int64), np.array([one for _, one in rows], np.int32)
    )


@given(IMAGES, IMAGES, PAIRS, st.booleans())
def test_labels_that_pairs_would_add_are_counted_as_one_by_one(
    images: list[list[int]], more: list[list[int]], pairs: list[tuple[int, int]], positives: bool
) -> None:
    low, high = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    blocks = [block(images), block(more, len(images))]
    there = [
        set().union(*(ABOVE[one] if positives else {one} for one in listed)) for listed in [*images, *more]
    ]
    expected = [sum(a in found and b not in found for found in there) for a, b in pairs]
    assert count_lacking(blocks, HIERARCHY, low, high, positives=positives).tolist() == expected


def pair(together: int) -> Pairs:
    one = np.array([together], np.int64)
    return Pairs(
        np.array([0], np.int32),
        np.array([3], np.int32),
        one,
        one,
        np.array([0.9], np.float32),
        np.zeros(1, np.bool_),
    )


@pytest.mark.parametrize(
    ("together", "adds", "content", "doubt"),
    [
        (10, 50, 0.5, ""),
        (10, 51, 0.5, "adds-too-many"),
        (10, 50, 0.49, "too-general"),
        (10, 51, 0.49, "too-general"),
    ],
)
def test_a_pair_is_doubtful_that_is_too_general_or_adds_more_than_its_evidence_bears(
    together: int, adds: int, content: float, doubt: str
) -> None:
    found = judge_pairs(pair(together), np.array([adds]), np.array([content]), min_content=0.5, max_ratio=5)
    assert DOUBTS[found[0]] == doubt


def test_a_dog_says_more_than_an_animal_and_a_leaf_says_all(wordnet: NounGraph) -> None:
    dog, animal, corgi = "n02084071", "n00015388", "n02113023"
    content = information_content(wordnet, [dog, animal, corgi])
    assert animal != dog
    assert content[1] < 0.5 < content[0] < content[2]
    below = len(wordnet.descendants(dog, ("hypernym",)))
    assert content[0] == pytest.approx(1 - math.log(below + 1) / math.log(len(wordnet)))
