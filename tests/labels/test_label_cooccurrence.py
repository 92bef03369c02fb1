"""Co-occurrence: what is learnt from rows, what it adds, and that every added label is proved."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.labels import (
    ABSENT,
    PRESENT,
    Block,
    LabelTable,
    Pairs,
    Rules,
    add_cooccurring,
    count_together,
    from_pairs,
    imply,
    learn_pairs,
    prove,
    resolve_contradictions,
    wilson_bound,
    without_implied,
)
from tests.labels.test_label_laws import LEVELS, World, worlds
from tests.support.label_world import Label, Order, Said, labels_of, statements

LAW = settings(max_examples=80, deadline=None)
LARGEST = np.float32(0.99)


class Rule(NamedTuple):
    antecedent: int
    consequent: int
    bound: float
    vetoed: bool


def pairs_of(rules: list[Rule]) -> Pairs:
    rules = sorted(rules)
    return Pairs(
        np.array([rule.antecedent for rule in rules], np.int32),
        np.array([rule.consequent for rule in rules], np.int32),
        np.full(len(rules), 9, np.int64),
        np.full(len(rules), 10, np.int64),
        np.array([rule.bound for rule in rules], np.float32),
        np.array([rule.vetoed for rule in rules], bool),
    )


@st.composite
def rules_of(draw: st.DrawFn, categories: int) -> list[Rule]:
    if categories < 2:
        return []
    category = st.integers(0, categories - 1)
    found = draw(st.lists(st.tuples(category, category), max_size=8, unique=True))
    return [
        Rule(low, high, draw(st.sampled_from([0.5, 0.75, 0.99])), draw(st.integers(0, 5)) == 0)
        for low, high in found
        if low != high
    ]


def added_slowly(
    labels: list[Label],
    rules: list[Rule],
    order: Order,
    positives: bool,
    levels: int | None,
    images: set[int],
) -> list[Label]:
    """`add_cooccurring`, label by label."""
    known = {(label.image, label.category): label.state for label in labels}
    best: dict[tuple[int, int], tuple[tuple[float, ...], Label]] = {}

    def offer(label: Label) -> None:
        key = (label.image, label.category)
        turn = (-label.confidence, label.rule != "cooccurrence", label.via, label.mapping, label.record)
        if key not in known and (key not in best or turn < best[key][0]):
            best[key] = (turn, label)

    for label, rule in product(labels, rules):
        denied = any(known.get((label.image, above)) == ABSENT for above in order.above[rule.consequent])
        fires = label.state == PRESENT and label.category == rule.antecedent and not rule.vetoed
        if fires and not denied and label.image in images:
            sure = float(min(np.float32(label.confidence) * np.float32(rule.bound), LARGEST))
            offer(
                label._replace(
                    category=rule.consequent, confidence=sure, rule="cooccurrence", via=label.category
                )
            )
    for _, label in list(best.values()) if positives else ():
        for above, hops in order.hops[label.category].items():
            if levels is None or hops <= levels:
                offer(label._replace(category=above, rule="cooccurrence_ancestors", via=label.category))
    return sorted([*labels, *(label for _, label in best.values())])


class Labelled(NamedTuple):
    world: World
    table: LabelTable
    rules: list[Rule]
    whole: LabelTable
    options: Rules
    images: np.ndarray


@st.composite
def labelled(draw: st.DrawFn) -> Labelled:
    world = draw(worlds())
    options = Rules(draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from(LEVELS)))
    hierarchy = world.hierarchy
    # statements of one mapping mean one category, as in a vocabulary
    said = [one._replace(mapping=one.category) for one in world.said]
    standing, _ = resolve_contradictions(statements(said), hierarchy, "prefer_verified")
    table = imply(
        standing,
        hierarchy,
        positives=options.positives,
        negatives=options.negatives,
        machine_levels=options.machine_levels,
    )
    rules = draw(rules_of(len(world.wnids)))
    images = np.array([draw(st.integers(0, 3)) > 0 for _ in range(3)])
    whole = add_cooccurring(
        table,
        pairs_of(rules),
        hierarchy,
        images=images,
        positives=options.positives,
        machine_levels=options.machine_levels,
    )
    return Labelled(world, table, rules, whole, options, images)


@given(labelled())
@LAW
def test_adding_equals_the_slow_reference(made: Labelled) -> None:
    images = set(np.flatnonzero(made.images).tolist())
    assert labels_of(made.whole) == added_slowly(
        labels_of(made.table),
        made.rules,
        made.world.order,
        made.options.positives,
        made.options.machine_levels,
        images,
    )


@given(labelled())
@LAW
def test_what_was_known_stays_and_what_is_added_is_no_certainty(made: Labelled) -> None:
    before, after = labels_of(made.table), labels_of(made.whole)
    assert [label for label in after if not label.rule.startswith("cooccurrence")] == before
    assert all(label.confidence < 1 for label in after if label.rule.startswith("cooccurrence"))


@given(labelled())
@LAW
def test_every_table_is_proved(made: Labelled) -> None:
    identity = np.arange(len(made.world.wnids), dtype=np.int32)
    found = prove(made.whole, made.world.hierarchy, identity, made.options, pairs_of(made.rules), made.images)
    assert list(found) == []


@given(labelled(), st.data())
@LAW
def test_a_label_that_is_changed_is_found_out(made: Labelled, data: st.DataObject) -> None:
    if not len(made.whole):
        return
    row = data.draw(st.integers(0, len(made.whole) - 1))
    name = data.draw(st.sampled_from(["state", "category", "via", "confidence", "rule", "drop"]))
    columns = {field: getattr(made.whole, field).copy() for field in LabelTable.__slots__}
    if name == "drop":
        if columns["rule"][row] == 0:
            return  # a statement that nobody made is no flaw, unless something came through it
        columns = {field: np.delete(column, row) for field, column in columns.items()}
    else:
        old = columns[name][row]
        values = {
            "state": [-int(old)],
            "category": range(len(made.world.wnids)),
            "via": range(len(made.world.wnids)),
            "confidence": [0.25, 0.625],
            "rule": range(5),
        }[name]
        new = data.draw(st.sampled_from([value for value in values if value != old] or [None]))
        if new is None:
            return
        columns[name][row] = new
    changed = LabelTable(**columns)
    if labels_of(changed) == labels_of(made.whole):
        return
    identity = np.arange(len(made.world.wnids), dtype=np.int32)
    found = prove(changed, made.world.hierarchy, identity, made.options, pairs_of(made.rules), made.images)
    allowed = _another_truth(made, changed, name, row)
    assert len(found) > 0 or allowed, (name, labels_of(made.whole), labels_of(changed))


def _another_truth(made: Labelled, changed: LabelTable, name: str, row: int) -> bool:
    """A change that makes another table which its own stated labels and rules allow."""
    return name in ("confidence", "state") and bool(changed.rule[row] == 0)


def test_a_pair_needs_its_bound_above_the_threshold() -> None:
    hierarchy = from_pairs(["boat", "car", "sea"], [])
    rows = [(k, 0) for k in range(40)] + [(k, 2) for k in range(36)] + [(40 + k, 1) for k in range(3)]
    rows += [(40 + k, 2) for k in range(3)]  # three of three: a share of 1, and no evidence
    image, category = (np.array(column) for column in zip(*rows, strict=True))
    counts = count_together([Block(image, category.astype(np.int32))], hierarchy)
    assert counts.rows == 43
    assert counts.images.tolist() == [40, 3, 39]
    pairs = learn_pairs(counts, hierarchy, min_probability=0.6, min_images=1)
    assert list(zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True)) == [(0, 2), (2, 0)]
    assert pairs.probability.round(3).tolist() == [0.9, 0.923]
    assert pairs.bound[0] == pytest.approx(wilson_bound(36, 40, 0.95))


def test_blocks_count_as_the_whole_does() -> None:
    hierarchy = from_pairs(["a", "b", "c"], [("a", "b")])
    rng = np.random.default_rng(0)
    image, category = rng.integers(0, 50, 300), rng.integers(0, 3, 300).astype(np.int32)
    order = np.argsort(image, kind="stable")
    image, category = image[order], category[order]
    whole = count_together([Block(image, category)], hierarchy)
    cut = np.searchsorted(image, [20, 35])
    blocks = zip(np.split(image, cut), np.split(category, cut), strict=True)
    parts = count_together((Block(*block) for block in blocks), hierarchy)
    assert (whole.together.toarray() == parts.together.toarray()).all()
    assert (np.diag(whole.together.toarray()) == whole.images).all()


def test_related_categories_say_nothing_and_general_consequents_are_implied() -> None:
    hierarchy = from_pairs(["animal", "dog", "leash", "tool"], [("dog", "animal"), ("leash", "tool")])
    rows = [(k, c) for k in range(50) for c in (1, 2)]
    image, category = (np.array(column) for column in zip(*rows, strict=True))
    counts = count_together([Block(image, category.astype(np.int32))], hierarchy)
    pairs = without_implied(learn_pairs(counts, hierarchy, min_probability=0.5, min_images=20), hierarchy)
    found = set(zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True))
    # animal → leash, dog → leash, leash → dog, tool → dog; not dog → tool (leash implies it), not dog → animal
    assert found == {(0, 2), (1, 2), (2, 1), (3, 1)}


def test_the_sea_snake_is_in_the_sea_unless_somebody_saw_that_there_is_no_water() -> None:
    hierarchy = from_pairs(["sea", "sea snake", "snake", "water"], [("sea snake", "snake"), ("sea", "water")])
    said = [
        Said(0, 1, PRESENT, 1.0, 1, 0),
        Said(1, 1, PRESENT, 1.0, 1, 1),
        Said(1, 3, ABSENT, 1.0, 3, 2),
    ]
    table = imply(statements(said), hierarchy)
    added = labels_of(add_cooccurring(table, pairs_of([Rule(1, 0, 0.75, False)]), hierarchy))
    new = [label for label in added if label.rule.startswith("cooccurrence")]
    assert [(label.image, label.category, label.rule, label.via) for label in new] == [
        (0, 0, "cooccurrence", 1),
        (0, 3, "cooccurrence_ancestors", 0),
    ]


def test_what_a_model_sees_counts_as_there() -> None:
    hierarchy = from_pairs(["sea", "sea snake"], [])
    image = np.arange(30)
    seen = np.concatenate([np.arange(25), [99]])  # 99 is no image of the block
    block = Block(image, np.full(30, 1, np.int32), seen, np.zeros(26, np.int32))
    counts = count_together([block], hierarchy)
    assert counts.images.tolist() == [0, 30]
    assert counts.together.toarray().tolist() == [[0, 0], [25, 0]]
    pairs = learn_pairs(counts, hierarchy, min_probability=0.5, min_images=20, confidence=0.5)
    assert (pairs.antecedent.tolist(), pairs.consequent.tolist()) == ([1], [0])
    assert pairs.bound[0] == pytest.approx(25 / 30)


def test_what_one_category_implies_is_no_sign_that_others_go_together() -> None:
    """Dogs are canines and domestic animals; that makes no wolf a domestic animal."""
    wnids = ["canine", "dog", "domestic animal", "leash", "wolf"]
    order = [("dog", "canine"), ("wolf", "canine"), ("dog", "domestic animal")]
    hierarchy = from_pairs(wnids, order)
    rows = [(k, 1) for k in range(50)] + [(k, 3) for k in range(40)] + [(50 + k, 4) for k in range(3)]
    image, category = (np.array(column) for column in zip(*sorted(rows), strict=True))
    block = Block(image, category.astype(np.int32))
    found = {}
    for related in (True, False):
        counts = count_together([block], hierarchy, related=related)
        assert counts.images.tolist() == [53, 50, 50, 40, 3]
        assert counts.together[0, 2] == (50 if related else 40), "alone, a dog is no pair"
        pairs = without_implied(learn_pairs(counts, hierarchy, min_probability=0.5, min_images=20), hierarchy)
        found[related] = list(zip(pairs.antecedent.tolist(), pairs.consequent.tolist(), strict=True))
    assert found[False] == found[True] == [(0, 3), (1, 3), (2, 3), (3, 1)]
    plain = learn_pairs(
        count_together([block], hierarchy), hierarchy, min_probability=0.5, min_images=20, skip_related=False
    )
    assert (0, 1) in set(zip(plain.antecedent.tolist(), plain.consequent.tolist(), strict=True))


def test_rows_of_one_label_each_teach_nothing() -> None:
    hierarchy = from_pairs(["a", "b"], [])
    image = np.arange(40)
    counts = count_together([Block(image, (image % 2).astype(np.int32))], hierarchy, related=False)
    assert len(learn_pairs(counts, hierarchy, min_probability=0.5, min_images=1)) == 0
    assert len(learn_pairs(count_together([], hierarchy), hierarchy, min_probability=0.5, min_images=1)) == 0


def test_a_pair_goes_only_where_another_one_brings_its_consequent() -> None:
    """boat → sea, boat → water: water follows from the sea, unless nothing implies or the sea is vetoed."""
    hierarchy = from_pairs(["boat", "matter", "sea", "water"], [("sea", "water"), ("water", "matter")])
    rules = [Rule(0, 1, 0.75, False), Rule(0, 2, 0.75, False), Rule(0, 3, 0.75, False)]

    def kept(levels: int | None, *vetoed: int) -> list[int]:
        given = [rule._replace(vetoed=rule.consequent in vetoed) for rule in rules]
        return without_implied(pairs_of(given), hierarchy, levels).consequent.tolist()

    assert kept(None) == [2]
    assert kept(1) == [1, 2], "matter does not follow from water that is brought itself"
    assert kept(0) == [1, 2, 3]
    assert kept(None, 2) == [2, 3]
