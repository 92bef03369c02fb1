"""Laws of settling and implying over random DAGs and statements, beside a slow reference."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.labels import ABSENT, PRESENT, Hierarchy, Policy, from_pairs, imply, resolve_contradictions
from mlimg_build.labels.derivation import implication as implying
from tests.support.label_world import (
    Order,
    Said,
    implied,
    labels_of,
    replay,
    restate,
    said_by,
    settled,
    statements,
)

POLICIES: tuple[Policy, ...] = ("prefer_verified", "drop", "error")
LEVELS = (None, 0, 1, 2)
LAW = settings(max_examples=60, deadline=None)


class World(NamedTuple):
    """Categories in some order, one above the other, and what is said about a few images."""

    wnids: list[str]
    pairs: list[tuple[str, str]]
    said: list[Said]

    @property
    def hierarchy(self) -> Hierarchy:
        return from_pairs(self.wnids, self.pairs)

    @property
    def order(self) -> Order:
        return Order(self.wnids, self.pairs)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    n = draw(st.integers(1, 9))
    node = st.integers(0, n - 1)
    names = draw(st.permutations([f"c{i}" for i in range(n)]))
    edges = (
        draw(st.lists(st.tuples(node, node).filter(lambda edge: edge[0] > edge[1]), max_size=16))
        if n > 1
        else []
    )
    wnids = names[: draw(st.integers(1, n))]
    said = draw(st.lists(statement(len(wnids)), max_size=12))
    low_to_high = sorted(names)
    return World(wnids, [(low_to_high[child], low_to_high[parent]) for child, parent in edges], said)


def statement(categories: int) -> st.SearchStrategy[Said]:
    """Few values of everything, so that statements meet; confidences that float32 holds exactly."""
    return st.builds(
        lambda image, category, sure, mapping, record: Said(
            image, category, PRESENT if sure else ABSENT, sure or 1.0, mapping, record
        ),
        st.integers(0, 2),
        st.integers(0, categories - 1),
        st.sampled_from([0.0, 0.5, 0.75, 1.0]),
        st.integers(0, 2),
        st.integers(0, 3),
    )


def stand(world: World, policy: Policy = "prefer_verified") -> list[Said]:
    return said_by(resolve_contradictions(statements(world.said), world.hierarchy, policy)[0])


@given(worlds())
@LAW
def test_a_hierarchy_equals_the_search_through_its_pairs(world: World) -> None:
    hierarchy, order = world.hierarchy, world.order
    found = [
        [set(matrix[[i]].indices.tolist()) for i in range(len(hierarchy))]
        for matrix in (hierarchy.hops, hierarchy.parents)
    ]
    assert found == [order.above, order.parents]
    for low, hops in enumerate(order.hops):
        assert {high: int(hierarchy.hops[low, high]) for high in hops} == hops
        for high in hops:
            path = hierarchy.path(low, high)
            assert (path[0], path[-1], len(path)) == (low, high, hops[high] + 1)
            assert all(parent in order.parents[child] for child, parent in pairwise(path))
    assert (hierarchy.down.toarray() == hierarchy.hops.toarray().T).all()
    assert hierarchy.roots.tolist() == [i for i, above in enumerate(order.above) if not above]
    deepest = [0] * len(hierarchy)
    for i in sorted(range(len(hierarchy)), key=lambda i: len(order.above[i])):
        deepest[i] = max((deepest[parent] + 1 for parent in order.parents[i]), default=0)
    assert hierarchy.depths.tolist() == deepest


@given(worlds(), st.sampled_from(POLICIES))
@LAW
def test_settling_equals_the_slow_reference(world: World, policy: Policy) -> None:
    columns = statements(world.said)
    standing, clashes = resolve_contradictions(columns, world.hierarchy, policy)
    wanted, pairs = settled(world.said, world.order, policy)
    rows = said_by(columns)
    assert Counter(said_by(standing)) == Counter(wanted)
    found = zip(clashes.absent.tolist(), clashes.present.tolist(), clashes.kept.tolist(), strict=True)
    assert [(rows[no], rows[yes], kept) for no, yes, kept in found] == pairs
    assert len(clashes) == len(pairs)


@given(worlds(), st.booleans(), st.booleans(), st.sampled_from(LEVELS), st.booleans())
@LAW
def test_implying_equals_the_slow_reference(
    world: World, up: bool, down: bool, levels: int | None, strongest: bool
) -> None:
    standing = stand(world)
    rules = {"positives": up, "negatives": down, "machine_levels": levels, "strongest": strongest}
    table = imply(statements(standing), world.hierarchy, **rules)
    assert labels_of(table) == implied(standing, world.order, **rules)


@given(worlds(), st.sampled_from(POLICIES))
@LAW
def test_what_stands_has_no_contradiction_left(world: World, policy: Policy) -> None:
    standing, _ = resolve_contradictions(statements(world.said), world.hierarchy, policy)
    again, clashes = resolve_contradictions(standing, world.hierarchy, policy)
    assert len(clashes) == 0
    assert said_by(again) == said_by(standing)


@given(worlds())
@LAW
def test_what_people_saw_is_never_refuted(world: World) -> None:
    seen = [one for one in world.said if one.state == PRESENT and one.confidence == 1]
    assert Counter(seen) <= Counter(stand(world))


@given(worlds(), st.sampled_from(POLICIES), st.sampled_from(LEVELS))
@LAW
def test_presence_goes_up_absence_goes_down_and_they_never_meet(
    world: World, policy: Policy, levels: int | None
) -> None:
    standing, order = stand(world, policy), world.order
    labels = labels_of(imply(statements(standing), world.hierarchy, machine_levels=levels))
    state = {(label.image, label.category): label.state for label in labels}
    sure = {(label.image, label.category): label.confidence for label in labels}
    assert list(state) == sorted(state)
    assert len(state) == len(labels), "one label at most for an image and a category"
    assert set(state.values()) <= {PRESENT, ABSENT}, "unknown is not stored"
    for (image, category), sign in state.items():
        for other in range(len(world.wnids)):
            if (
                sign == PRESENT
                and other in order.above[category]
                and (levels is None or sure[image, category] == 1)
            ):
                assert state[image, other] == PRESENT
                assert sure[image, other] >= sure[image, category]
            if sign == ABSENT and category in order.above[other]:
                assert state[image, other] == ABSENT


@given(worlds())
@LAW
def test_what_is_implied_implies_nothing_new(world: World) -> None:
    once = imply(statements(stand(world)), world.hierarchy)
    _, clashes = resolve_contradictions(restate(once), world.hierarchy, "error")
    assert len(clashes) == 0
    twice = imply(restate(once), world.hierarchy)
    for name in ("image", "category", "state", "confidence"):
        assert np.array_equal(getattr(once, name), getattr(twice, name)), name


@given(worlds(), st.sampled_from(LEVELS), st.data())
@LAW
def test_more_statements_never_take_a_label_away(
    world: World, levels: int | None, data: st.DataObject
) -> None:
    more = stand(world)
    fewer = [one for one in more if data.draw(st.booleans())]
    small, large = (
        {
            (label.image, label.category): label
            for label in labels_of(imply(statements(said), world.hierarchy, machine_levels=levels))
        }
        for said in (fewer, more)
    )
    assert small.keys() <= large.keys()
    for key, label in small.items():
        assert large[key].state == label.state
        assert large[key].confidence >= label.confidence


@given(worlds(), st.sampled_from(POLICIES), st.sampled_from(LEVELS), st.data())
@LAW
def test_the_order_of_statements_changes_nothing(
    world: World, policy: Policy, levels: int | None, data: st.DataObject
) -> None:
    def all_of(said: list[Said]) -> tuple[object, object]:
        columns = statements(said)
        standing, clashes = resolve_contradictions(columns, world.hierarchy, policy)
        rows = said_by(columns)
        pairs = [(rows[no], rows[yes]) for no, yes in zip(clashes.absent, clashes.present, strict=True)]
        return labels_of(imply(standing, world.hierarchy, machine_levels=levels)), (
            pairs,
            clashes.kept.tolist(),
        )

    assert all_of(data.draw(st.permutations(world.said))) == all_of(world.said)


@given(worlds(), st.permutations(range(3)), st.sampled_from(LEVELS))
@LAW
def test_the_order_of_sources_changes_only_which_of_equals_is_named(
    world: World, numbers: list[int], levels: int | None
) -> None:
    turned = [one._replace(mapping=numbers[one.mapping]) for one in world.said]
    before, after = (
        [
            label[:6]
            for label in labels_of(
                imply(statements(stand(world._replace(said=said))), world.hierarchy, machine_levels=levels)
            )
        ]
        for said in (world.said, turned)
    )
    assert before == after


@given(worlds(), st.sampled_from(POLICIES), st.booleans())
@LAW
def test_no_state_is_lost(world: World, policy: Policy, strongest: bool) -> None:
    """Every statement is a label of its state, or one side of a contradiction that it did not win."""
    columns = statements(world.said)
    standing, clashes = resolve_contradictions(columns, world.hierarchy, policy)
    table = labels_of(imply(standing, world.hierarchy, strongest=strongest))
    state = {(label.image, label.category): label.state for label in table}
    beaten = {*clashes.absent[clashes.kept != ABSENT].tolist()}
    beaten |= {*clashes.present[clashes.kept != PRESENT].tolist()}
    for position, one in enumerate(said_by(columns)):
        assert state.get((one.image, one.category)) == one.state or position in beaten


@given(worlds(), st.sampled_from(POLICIES), st.sampled_from(LEVELS))
@LAW
def test_every_label_replays_to_its_state(world: World, policy: Policy, levels: int | None) -> None:
    standing, hierarchy = stand(world, policy), world.hierarchy
    for label in labels_of(imply(statements(standing), hierarchy, machine_levels=levels)):
        assert replay(label, standing, hierarchy) == label.state
        if label.rule == "ancestors" and label.confidence < 1 and levels is not None:
            assert len(hierarchy.path(label.via, label.category)) - 1 <= levels


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_said_is_nothing_labelled(policy: Policy) -> None:
    for wnids, pairs in (([], []), (["dog", "animal"], [("dog", "animal")])):
        hierarchy = from_pairs(wnids, pairs)
        standing, clashes = resolve_contradictions(statements([]), hierarchy, policy)
        table = imply(standing, hierarchy)
        assert (len(standing), len(clashes), len(table)) == (0, 0, 0)
        assert table.counts(3).tolist() == [0, 0, 0]


def test_counts_tell_the_labels_of_each_image() -> None:
    hierarchy = from_pairs(["animal", "dog"], [("dog", "animal")])
    said = [Said(0, 1, PRESENT, 1, 0, 0), Said(2, 1, ABSENT, 1, 0, 0)]
    assert imply(statements(said), hierarchy).counts(4).tolist() == [2, 0, 1, 0]


@given(worlds(), st.sampled_from(LEVELS))
@LAW
def test_images_that_do_not_fit_into_one_number_are_implied_in_halves(
    world: World, levels: int | None
) -> None:
    standing = stand(world)
    wanted = implied(standing, world.order, machine_levels=levels)
    with patch.object(implying, "WIDEST", 14):  # one image of these worlds fits, three of the largest do not
        table = imply(statements(standing), world.hierarchy, machine_levels=levels)
    assert labels_of(table) == wanted
