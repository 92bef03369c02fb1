"""Trees by rule: the nearest ancestor as parent, and the only leaf children of the published file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import (
    collapse_only_leaves,
    nearest_parents,
    shape,
    synset_name,
    tree_by_rule,
)
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published, distances, order_of, vocabularies

ANIMAL, DOMESTIC, CANINE, DOG, CORGI = "n00015388", "n01317541", "n02083346", "n02084071", "n02112826"
DANUBE, RIVER, STREAM = "n09263087", "n09411430", "n09448361"
LAW = settings(max_examples=60, deadline=None)


def matching(published: Published, parents: tuple[str | None, ...]) -> int:
    given = dict(published.pairs)
    return sum(
        given.get(wnid) == parent
        for wnid, parent in zip(published.wnids, parents, strict=True)
        if wnid in given
    )


def test_the_nearest_ancestor_is_the_parent_of_most_published_categories(
    published: Published, wordnet: NounGraph
) -> None:
    parents = nearest_parents(wordnet, published.wnids)
    assert len(published.pairs) == 11_162
    assert matching(published, parents) == 10_227


def test_with_only_leaf_children_moved_up_nearly_every_published_parent_comes_out(
    published: Published, wordnet: NounGraph
) -> None:
    parents = nearest_parents(wordnet, published.wnids)
    collapsed = collapse_only_leaves(published.wnids, parents)
    assert matching(published, collapsed) == 10_964
    assert sum(before != after for before, after in zip(parents, collapsed, strict=True)) == 851


def test_the_tree_by_rule_has_four_more_roots_than_the_published_one(
    published: Published, wordnet: NounGraph
) -> None:
    """The four that people placed by hand: bubble, signal, sign, stalactite."""
    tree, collapsed = (
        tree_by_rule(wordnet, published.wnids, collapse_only_leaf=collapse) for collapse in (False, True)
    )
    by_hand = set(tree.roots.tolist()) - set(published.tree.roots.tolist())
    assert sorted(published.names[i].split(",")[0] for i in by_hand) == [
        "bubble",
        "sign",
        "signal",
        "stalactite",
    ]
    assert (tree.pairs, shape(tree).deepest, round(shape(tree).mean_depth, 4)) == (85_322, 16, 7.6412)
    assert (collapsed.pairs, round(shape(collapsed).mean_depth, 4)) == (84_471, 7.5650)


def test_a_parent_is_found_through_synsets_outside_of_the_vocabulary(wordnet: NounGraph) -> None:
    assert nearest_parents(wordnet, [CORGI, ANIMAL]) == (ANIMAL, None)


def test_of_equally_near_ancestors_the_first_name_wins(wordnet: NounGraph) -> None:
    assert synset_name(wordnet, CANINE) < synset_name(wordnet, DOMESTIC)
    for wnids in ([DOG, CANINE, DOMESTIC], [DOG, DOMESTIC, CANINE]):
        assert nearest_parents(wordnet, wnids)[0] == CANINE


def test_an_instance_has_a_parent_too(wordnet: NounGraph) -> None:
    assert nearest_parents(wordnet, [DANUBE, RIVER, STREAM]) == (RIVER, STREAM, None)


def test_an_only_leaf_child_moves_past_its_parent(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, CANINE, DOG]
    assert tree_by_rule(wordnet, wnids).path(2, 0) == [2, 1, 0]
    assert tree_by_rule(wordnet, wnids, collapse_only_leaf=True).path(2, 0) == [2, 0]


@pytest.mark.parametrize(
    ("parents", "collapsed"),
    [
        ((None, "a", "b", "b"), (None, "a", "b", "b")),  # two children
        ((None, "a", "b", "c"), (None, "a", "b", "b")),  # only the leaf moves, not what it leaves behind
        ((None, "a", None, "c"), (None, "a", None, "c")),  # there is no grandparent
    ],
)
def test_nothing_else_moves(parents: tuple[str | None, ...], collapsed: tuple[str | None, ...]) -> None:
    assert collapse_only_leaves("abcd", parents) == collapsed


def test_no_category_makes_an_empty_tree(wordnet: NounGraph) -> None:
    assert nearest_parents(wordnet, []) == collapse_only_leaves([], []) == ()
    assert len(tree_by_rule(wordnet, [], collapse_only_leaf=True)) == 0


def test_an_unknown_id_has_no_parent(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError, match="n99999999"):
        nearest_parents(wordnet, [DOG, "n99999999"])


@given(data=st.data())
@LAW
def test_the_parent_is_the_nearest_ancestor_by_the_slow_way_too(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    chosen = data.draw(vocabularies(above))
    wnids = [wordnet.wnid(i) for i in chosen]
    for i, parent in zip(chosen, nearest_parents(wordnet, wnids), strict=True):
        inside = [
            (hops, synset_name(wordnet, wordnet.wnid(j)))
            for j, hops in distances(i, above).items()
            if j in chosen
        ]
        assert (synset_name(wordnet, parent) if parent else None) == (min(inside)[1] if inside else None)


@pytest.mark.slow
@given(data=st.data(), collapse=st.booleans())
@LAW
def test_the_tree_implies_nothing_that_wordnet_does_not(
    data: st.DataObject, collapse: bool, wordnet: NounGraph, above: list[set[int]]
) -> None:
    chosen = data.draw(vocabularies(above))
    wnids = [wordnet.wnid(i) for i in chosen]
    tree = tree_by_rule(wordnet, wnids, collapse_only_leaf=collapse)
    assert tree.parents.sum(axis=1).max() <= 1
    assert not tree.hops.diagonal().any(), "nothing is above itself"
    assert (order_of(chosen, wordnet, above).hops.toarray()[tree.hops.toarray() > 0] > 0).all()
    uncollapsed = tree_by_rule(wordnet, wnids).hops.toarray() > 0
    assert uncollapsed[tree.hops.toarray() > 0].all(), "a move up takes ancestors away and adds none"


@pytest.mark.slow
@given(data=st.data())
@LAW
def test_the_order_of_categories_changes_no_parent(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    wnids = [wordnet.wnid(i) for i in data.draw(vocabularies(above))]
    turned = data.draw(st.permutations(wnids))

    def parents(order: list[str]) -> dict[str, tuple[str | None, str | None]]:
        near = nearest_parents(wordnet, order)
        return dict(zip(order, zip(near, collapse_only_leaves(order, near), strict=True), strict=True))

    assert parents(turned) == parents(wnids)


@given(st.lists(st.integers(0, 100), max_size=12))
@LAW
def test_a_second_pass_moves_nothing(choices: list[int]) -> None:
    """A random tree: each category has one of the earlier ones as its parent, or none."""
    wnids = [f"c{i}" for i in range(len(choices))]
    parents = tuple(
        wnids[choice % (i + 1) - 1] if choice % (i + 1) else None for i, choice in enumerate(choices)
    )
    once = collapse_only_leaves(wnids, parents)
    assert collapse_only_leaves(wnids, once) == once
