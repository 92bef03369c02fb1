"""Where a tree departs from WordNet, where that begins, and how deep hierarchies are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.labels import Departures, Hierarchy, difference, from_pairs, shape, tree_by_rule
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published, order_of, vocabularies

LAW = settings(max_examples=60, deadline=None)


def rows(departures: Departures) -> list[tuple[int, int, int]]:
    columns = (departures.category, departures.ancestor, departures.origin)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def pairs(hierarchy: Hierarchy) -> set[tuple[int, int]]:
    return set(zip(*(ends.tolist() for ends in hierarchy.hops.nonzero()), strict=True))


def test_the_published_tree_is_16_edges_deep_and_7_4711_on_average(published: Published) -> None:
    """Depth counts edges, a root has 0, and the mean is over all categories."""
    figures = shape(published.tree)
    assert (figures.categories, figures.roots, figures.pairs) == (11_166, 4, 83_422)
    assert (figures.deepest, round(figures.mean_depth, 4)) == (16, 7.4711)


def test_the_published_tree_loses_4849_pairs_in_2785_categories_and_adds_75(published: Published) -> None:
    apart = difference(published.dag, published.tree)
    assert len(apart.lost) == 4_849
    assert len(np.unique(apart.lost.category)) == 2_785
    assert len(apart.added) == 75


def test_the_75_added_pairs_come_from_six_parents_made_by_hand(published: Published) -> None:
    added = difference(published.dag, published.tree).added
    names = {published.names[i].split(",")[0] for i in added.origin.tolist()}
    assert names == {"bubble", "signal", "sign", "street sign", "water", "stalactite"}


def test_breeds_of_dog_are_no_domestic_animals_because_the_dog_of_the_tree_is_not(
    published: Published,
) -> None:
    lost = difference(published.dag, published.tree).lost
    corgi, dog, domestic = (published.wnids.index(wnid) for wnid in ("n02112826", "n02084071", "n01317541"))
    assert (corgi, domestic, dog) in rows(lost)
    assert (dog, domestic, dog) in rows(lost)


def test_what_begins_at_a_category_is_inherited_below_it() -> None:
    wnids = ["animal", "pet", "dog", "corgi"]
    whole = from_pairs(wnids, [("corgi", "dog"), ("dog", "pet"), ("pet", "animal")])
    tree = from_pairs(wnids, [("corgi", "dog"), ("dog", "animal"), ("pet", "animal")])
    apart = difference(whole, tree)
    assert rows(apart.lost) == [(2, 1, 2), (3, 1, 2)]
    assert rows(apart.added) == []
    assert rows(difference(tree, whole).added) == [(2, 1, 2), (3, 1, 2)]


def test_hierarchies_of_different_sizes_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="of 1 and of 2 categories"):
        difference(from_pairs(["a"], []), from_pairs(["a", "b"], []))


def test_nothing_has_no_depth_and_no_difference() -> None:
    nothing = from_pairs([], [])
    figures = shape(nothing)
    assert (figures.categories, figures.deepest, figures.mean_depth) == (0, 0, 0.0)
    assert len(difference(nothing, nothing).lost) == 0


@given(data=st.data(), collapse=st.booleans())
@LAW
def test_a_tree_by_rule_adds_nothing_and_every_loss_begins_somewhere(
    data: st.DataObject, collapse: bool, wordnet: NounGraph, above: list[set[int]]
) -> None:
    chosen = data.draw(vocabularies(above))
    wnids = [wordnet.wnid(i) for i in chosen]
    dag, tree = order_of(chosen, wordnet, above), tree_by_rule(wordnet, wnids, collapse_only_leaf=collapse)
    apart = difference(dag, tree)
    assert len(apart.added) == 0
    assert [row[:2] for row in rows(apart.lost)] == sorted(pairs(dag) - pairs(tree))
    lost = {row[:2] for row in rows(apart.lost)}
    for category, ancestor, origin in rows(apart.lost):
        assert origin in tree.path(category, origin)
        assert all((step, ancestor) in lost for step in tree.path(category, origin))
        assert not any((parent, ancestor) in lost for parent in tree.parents[[origin]].indices.tolist())


@given(data=st.data())
@LAW
def test_a_hierarchy_does_not_depart_from_itself(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    dag = order_of(data.draw(vocabularies(above)), wordnet, above)
    assert rows(difference(dag, dag).lost) == rows(difference(dag, dag).added) == []
