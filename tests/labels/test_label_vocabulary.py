"""Which categories stay, and what becomes of every source category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import FATES, FOUND, Decision, Thresholds, Vocabulary, build_vocabulary, merges
from mlimg_build.wordnet import load

ANIMAL, CARNIVORE, CANINE, DOG, CORGI, CAT, TABLE = (
    "n00015388",
    "n02075296",
    "n02083346",
    "n02084071",
    "n02112826",
    "n02121620",
    "n04379243",
)
NONE = Thresholds({})
GRAPH = load()


def by_id(*wnids: str, source: str = "ids") -> list[Decision]:
    return [Decision(source, wnid, "", wnid, "same_id") for wnid in wnids]


def made(decisions: Sequence[Decision], images: Sequence[int] | None = None, **rules: Any) -> Vocabulary:
    counts = images if images is not None else [1] * len(decisions)
    return build_vocabulary(decisions, counts, GRAPH, **{"thresholds": NONE} | rules)


def fates(vocabulary: Vocabulary) -> list[str]:
    return [row.fate for row in vocabulary.placed]


def stated(*pairs: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """(image, source category) statements, counted by the group of the source category."""

    def present(group: np.ndarray) -> np.ndarray:
        found = {(image, int(group[category])) for image, category in pairs if group[category] >= 0}
        return np.array([sum(of == number for _, of in found) for number in range(max(group) + 1)], np.int64)

    return present


def test_categories_are_sorted_and_source_categories_keep_their_order() -> None:
    vocabulary = made(by_id(TABLE, DOG, CAT))
    assert vocabulary.wnids == (DOG, CAT, TABLE)
    assert vocabulary.category_of.tolist() == [2, 0, 1]
    assert vocabulary.category_of.dtype == np.int32
    assert len(vocabulary) == 3


def test_the_same_id_from_two_sources_is_one_category() -> None:
    vocabulary = made([*by_id(DOG), *by_id(DOG, source="others")])
    assert vocabulary.wnids == (DOG,)
    assert vocabulary.category_of.tolist() == [0, 0]


def test_every_fate_is_told() -> None:
    decisions = [
        *by_id(DOG),
        Decision("names", "a", "quidditch", None, "unresolved"),
        Decision("names", "b", "thing", None, "file"),
        *by_id(TABLE),
        *by_id(CAT),
        Decision("names", "c", "corgi", CORGI, "lemma"),
        Decision("names", "d", "police dog", DOG, "head", relation="is_a"),
        Decision("names", "e", "NaN", None, "unresolved"),
    ]
    vocabulary = made(
        decisions,
        [9, 9, 9, 9, 2, 9, 9, 9],
        thresholds=Thresholds({"ids": 3}),
        exclude=[TABLE],
        drop_below_score=float("inf"),
        drop_is_a=True,
    )
    assert fates(vocabulary) == list(FATES)
    assert vocabulary.wnids == (DOG,)
    assert vocabulary.category_of.tolist() == [0, *[-1] * 7]


@pytest.mark.parametrize("method", FOUND)
def test_unreviewed_names_stay_unless_the_spec_drops_them(method: str) -> None:
    decision = Decision("names", "a", "dog", DOG, method)
    assert fates(made([decision])) == ["used"]
    assert fates(made([decision], drop_below_score=float("inf"))) == ["unreviewed"]
    reviewed = Decision("names", "a", "dog", DOG, "file")
    assert fates(made([reviewed], drop_below_score=float("inf"))) == ["used"]


def test_a_kind_of_a_category_is_marked_for_its_absence_says_nothing() -> None:
    kind = Decision("names", "a", "hunting dog of sorts", DOG, "head", relation="is_a")
    vocabulary = made([*by_id(DOG), kind])
    assert vocabulary.category_of.tolist() == [0, 0]
    assert vocabulary.narrower.tolist() == [False, True]


class TestJoin:
    def test_what_is_joined_becomes_the_other(self) -> None:
        vocabulary = made(by_id(CORGI, DOG, CAT), join={DOG: [CORGI]})
        assert vocabulary.wnids == (DOG, CAT)
        assert vocabulary.category_of.tolist() == [0, 0, 1]
        assert [row.wnid for row in vocabulary.placed] == [DOG, DOG, CAT]
        assert vocabulary.placed[0].decision.wnid == CORGI, "the decision is told as it was made"

    def test_a_join_may_make_a_category_that_no_source_has(self) -> None:
        assert made(by_id(CORGI, CAT), join={ANIMAL: [CORGI, CAT]}).wnids == (ANIMAL,)

    def test_what_is_joined_away_comes_back_neither_as_included_nor_as_ancestor(self) -> None:
        vocabulary = made(by_id(CORGI, CAT), join={ANIMAL: [DOG]}, include=[DOG], ancestors="all")
        assert DOG not in vocabulary.wnids
        assert ANIMAL in vocabulary.wnids

    def test_excluding_what_a_category_is_joined_into_excludes_it(self) -> None:
        assert fates(made(by_id(CORGI, CAT), join={DOG: [CORGI]}, exclude=[DOG])) == ["excluded", "used"]


class TestExclude:
    def test_an_excluded_id_goes_for_all_sources(self) -> None:
        vocabulary = made([*by_id(DOG, CAT), *by_id(DOG, source="others")], exclude=[DOG])
        assert fates(vocabulary) == ["excluded", "used", "excluded"]

    def test_a_source_excludes_its_own_category_only(self) -> None:
        decisions = [*by_id(DOG), *by_id(DOG, source="others")]
        vocabulary = made(decisions, excluded={("others", DOG)})
        assert fates(vocabulary) == ["used", "excluded"]
        assert vocabulary.wnids == (DOG,)

    def test_an_excluded_id_comes_back_neither_as_included_nor_as_ancestor(self) -> None:
        assert (
            made(by_id(CORGI), exclude=[ANIMAL], include=[ANIMAL], ancestors="all").wnids.count(ANIMAL) == 0
        )


class TestThresholds:
    def test_a_source_has_its_own_threshold(self) -> None:
        decisions = [*by_id(DOG, CAT), *by_id(DOG, CAT, source="others")]
        vocabulary = made(decisions, [5, 4, 1, 0], thresholds=Thresholds({"ids": 5}))
        assert fates(vocabulary) == ["used", "rare", "used", "used"]
        assert vocabulary.wnids == (DOG, CAT)

    def test_after_merging_an_image_counts_once(self) -> None:
        decisions = [*by_id(DOG, CAT), *by_id(DOG, source="others")]
        present = stated(
            (0, 0), (0, 2), (0, 0), (1, 1), (2, 1)
        )  # one image of a dog said thrice, two of cats
        vocabulary = made(decisions, [1, 2, 1], thresholds=Thresholds({}, merged=2), present=present)
        assert fates(vocabulary) == ["rare", "used", "rare"]
        assert vocabulary.wnids == (CAT,)

    def test_merging_adds_up_the_images_of_all_sources_and_joins(self) -> None:
        decisions = [*by_id(DOG, CORGI), *by_id(DOG, source="others")]
        present = stated((0, 0), (1, 1), (2, 2))
        rules = {"thresholds": Thresholds({}, merged=3), "present": present}
        assert fates(made(decisions, [1, 1, 1], **rules)) == ["rare", "rare", "rare"]
        assert fates(made(decisions, [1, 1, 1], join={DOG: [CORGI]}, **rules)) == ["used", "used", "used"]

    def test_images_of_what_is_out_already_do_not_count(self) -> None:
        decisions = [*by_id(DOG), *by_id(DOG, source="others")]
        rules = {"thresholds": Thresholds({"others": 2}, merged=2), "present": stated((0, 0), (1, 1))}
        assert fates(made(decisions, [1, 1], **rules)) == ["rare", "rare"]

    def test_a_category_that_stays_for_another_reason_keeps_its_labels(self) -> None:
        decisions = by_id(DOG, CORGI, CAT)
        rules = {"thresholds": Thresholds({}, merged=2), "present": stated((0, 0), (1, 1), (2, 1), (3, 2))}
        assert fates(made(decisions, [1, 2, 1], **rules)) == ["rare", "used", "rare"]
        assert fates(made(decisions, [1, 2, 1], include=[CAT], **rules)) == ["rare", "used", "used"]
        above = made(decisions, [1, 2, 1], ancestors="all", **rules)
        assert fates(above) == ["used", "used", "rare"], "a corgi makes dog a category"

    def test_a_threshold_after_merging_needs_the_statements(self) -> None:
        with pytest.raises(ValueError, match="needs the statements"):
            made(by_id(DOG), thresholds=Thresholds({}, merged=1))


def test_an_included_id_is_a_category_without_an_image() -> None:
    vocabulary = made(by_id(DOG), include=[CAT])
    assert vocabulary.wnids == (DOG, CAT)
    assert vocabulary.category_of.tolist() == [0]
    assert made([], include=[CAT]).wnids == (CAT,)


def test_unknown_ids_of_the_spec_are_refused_with_all_of_them() -> None:
    many = [f"n999999{i}" for i in range(10, 30)]
    with pytest.raises(WordNetError) as refused:
        made(by_id(DOG), exclude=many, include=["n99999901"], join={"n99999902": ["n99999903"], DOG: ["cat"]})
    assert refused.value.code == "unknown-synset"
    assert all(wnid in str(refused.value) for wnid in [*many, "n99999901", "n99999902", "n99999903", "cat"])


class TestAncestors:
    def test_none_adds_none(self) -> None:
        assert made(by_id(CORGI, CAT)).wnids == (CORGI, CAT)

    def test_common_adds_where_dogs_and_cats_meet(self) -> None:
        assert made(by_id(CORGI, CAT), ancestors="common").wnids == (CARNIVORE, CORGI, CAT)

    def test_a_category_above_another_is_no_meeting(self) -> None:
        assert made(by_id(CORGI, DOG), ancestors="common").wnids == (DOG, CORGI)

    def test_one_category_meets_nothing(self) -> None:
        assert made(by_id(CORGI), ancestors="common").wnids == (CORGI,)

    def test_all_adds_every_ancestor(self) -> None:
        assert set(made(by_id(CORGI), ancestors="all").wnids) == {CORGI, *GRAPH.ancestors(CORGI)}

    def test_an_empty_vocabulary_has_no_ancestors(self) -> None:
        assert made([], ancestors="all").wnids == made([], ancestors="common").wnids == ()

    def test_what_is_rare_or_excluded_has_no_ancestors(self) -> None:
        decisions = by_id(CORGI, CAT)
        assert made(decisions, ancestors="common", exclude=[CAT]).wnids == (CORGI,)
        assert made(decisions, [1, 0], ancestors="common", thresholds=Thresholds({"ids": 1})).wnids == (
            CORGI,
        )

    def test_the_order_of_source_categories_changes_nothing(self) -> None:
        decisions = by_id(CORGI, CAT, TABLE, DOG)
        forward, back = made(decisions, ancestors="common"), made(decisions[::-1], ancestors="common")
        assert forward.wnids == back.wnids


@cache
def above(wnid: str) -> frozenset[str]:
    return frozenset(GRAPH.ancestors(wnid))


def meets(wnids: frozenset[str]) -> set[str]:
    """The nearest nodes that hold what nothing below them holds: `ancestors="common"`, slowly."""
    nodes = wnids.union(*(above(wnid) for wnid in wnids))
    held = {node: frozenset(wnid for wnid in wnids if wnid == node or node in above(wnid)) for node in nodes}
    found: dict[frozenset[str], list[str]] = {}
    for node in nodes:
        below = [other for other in nodes if node in above(other)]
        if len(held[node]) > 1 and all(held[other] != held[node] for other in below):
            found.setdefault(held[node], []).append(node)
    return {min(nearest, key=lambda node: (-len(above(node)), node)) for nearest in found.values()} - wnids


NEARBY = sorted(
    {
        index
        for root in (DOG, "n04524313", "n02121620", "n03405725")
        for index in map(GRAPH.index, (root, *GRAPH.descendants(root)))
    }
)


@given(
    st.frozensets(
        st.one_of(st.sampled_from(NEARBY), st.integers(0, len(GRAPH) - 1)).map(GRAPH.wnid),
        min_size=1,
        max_size=9,
    )
)
@settings(max_examples=15, deadline=None)
def test_common_ancestors_are_exactly_the_meetings_of_branches(wnids: frozenset[str]) -> None:
    common = set(made(by_id(*sorted(wnids)), ancestors="common").wnids)
    assert wnids <= common <= wnids.union(*(above(wnid) for wnid in wnids))
    assert common - wnids == meets(wnids)
    for one in wnids:
        for other in wnids:
            shared = (above(one) | {one}) & (above(other) | {other})
            assert not shared or shared & common, "what meets in WordNet meets in the vocabulary"


class TestCollapse:
    def test_all_below_becomes_the_category(self) -> None:
        vocabulary = made(by_id(DOG, CORGI, CAT), collapse=[DOG])
        assert vocabulary.wnids == (DOG, CAT)
        assert [row.moved for row in vocabulary.placed] == ["", "collapse", ""]

    def test_the_highest_of_nested_collapses_wins(self) -> None:
        vocabulary = made(by_id(DOG, CORGI, CAT), collapse=[DOG, ANIMAL])
        assert vocabulary.wnids == (ANIMAL,)

    def test_absence_of_what_was_collapsed_says_nothing_of_the_category(self) -> None:
        vocabulary = made(by_id(DOG, CORGI), collapse=[DOG])
        assert vocabulary.narrower.tolist() == [False, True]

    def test_absence_of_a_join_counts_unless_it_lies_below(self) -> None:
        assert made(by_id(DOG, CAT), join={DOG: [CAT]}).narrower.tolist() == [False, False]
        assert made(by_id(DOG, CORGI), join={DOG: [CORGI]}).narrower.tolist() == [False, True]

    def test_a_subtree_is_excluded_with_its_top(self) -> None:
        vocabulary = made(by_id(DOG, CORGI, CAT), exclude_below=[DOG])
        assert fates(vocabulary) == ["excluded", "excluded", "used"]
        assert made(by_id(CORGI), ancestors="all", exclude_below=[DOG]).wnids == ()

    def test_what_is_excluded_is_not_joined_away(self) -> None:
        assert fates(made(by_id(DOG, CORGI), join={DOG: [CORGI]}, exclude=[CORGI])) == ["used", "excluded"]


def test_merges_count_what_each_way_changed() -> None:
    decisions = [*by_id(DOG, CORGI, CAT), *by_id(DOG, source="others")]
    vocabulary = made(decisions, [5, 3, 2, 4], collapse=[DOG])
    found = merges(vocabulary)
    assert found["same_id"] == (2, 1, 9)
    assert found["collapse"] == (1, 1, 3)
    assert found["join"] == (0, 0, 0)
