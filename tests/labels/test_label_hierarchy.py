"""Hierarchies from WordNet and from pairs: paths, cycles, unknown ids, roots, parts."""

from __future__ import annotations

import pytest

from mlimg_build.errors import LabelError, WordNetError
from mlimg_build.labels import from_graph, from_pairs
from mlimg_build.wordnet import NounGraph

ENTITY, ANIMAL, DOMESTIC, CANINE, DOG, CORGI = (
    "n00001740",
    "n00015388",
    "n01317541",
    "n02083346",
    "n02084071",
    "n02112826",
)


def test_an_ancestor_is_found_through_synsets_outside_of_the_vocabulary(wordnet: NounGraph) -> None:
    hierarchy = from_graph(wordnet, [ENTITY, CORGI])
    assert hierarchy.parents.toarray().tolist() == [[False, False], [True, False]]
    assert hierarchy.path(1, 0) == [1, 0]


def test_a_parent_is_a_parent_only_where_nothing_lies_between(wordnet: NounGraph) -> None:
    hierarchy = from_graph(wordnet, [ANIMAL, DOMESTIC, CANINE, DOG])
    assert hierarchy.parents[[3]].indices.tolist() == [1, 2]
    assert [int(hierarchy.hops[3, i]) for i in range(3)] == [2, 1, 1]


def test_of_equally_short_paths_the_one_through_the_lowest_index_is_shown(wordnet: NounGraph) -> None:
    assert from_graph(wordnet, [ANIMAL, DOMESTIC, CANINE, DOG]).path(3, 0) == [3, 1, 0]
    assert from_graph(wordnet, [ANIMAL, CANINE, DOMESTIC, DOG]).path(3, 0) == [3, 1, 0]


def test_a_path_of_one_category_is_that_category() -> None:
    assert from_pairs(["dog"], []).path(0, 0) == [0]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (2, 0)])
def test_there_is_no_path_to_what_is_not_above(low: int, high: int) -> None:
    hierarchy = from_pairs(["animal", "dog", "stone"], [("dog", "animal")])
    with pytest.raises(KeyError, match=f"{high} is no ancestor of {low}"):
        hierarchy.path(low, high)


def test_the_relations_that_a_spec_leaves_out_are_not_followed(wordnet: NounGraph) -> None:
    danube, river = "n09263087", "n09411430"
    assert from_graph(wordnet, [danube, river]).pairs == 1
    assert from_graph(wordnet, [danube, river], relations=["hypernym"]).pairs == 0


def test_a_part_implies_its_whole_where_the_spec_allows_it(wordnet: NounGraph) -> None:
    apple, tree, plant = "n07739125", "n12633994", "n00017222"
    assert from_graph(wordnet, [apple, tree, plant]).pairs == 1
    allowed = from_graph(wordnet, [apple, tree, plant], extra=[(apple, tree)])
    assert allowed.pairs == 3
    assert allowed.path(0, 2) == [0, 1, 2]


def test_a_cycle_through_wordnet_is_refused_with_its_path(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as refused:
        from_graph(wordnet, [DOG], extra=[(CANINE, CORGI)])
    assert refused.value.code == "cycle"
    for name, wnid in (("canine", CANINE), ("corgi", CORGI), ("dog", DOG)):
        assert f"{name} ({wnid})" in str(refused.value)


@pytest.mark.parametrize(
    ("pairs", "path"),
    [
        ([("a", "b"), ("b", "c"), ("c", "a")], "a → b → c → a"),
        ([("a", "a")], "a → a"),
        ([("dog", "animal"), ("x", "y"), ("y", "x")], "x → y → x"),
    ],
)
def test_a_tree_that_goes_round_is_refused_with_its_path(pairs: list[tuple[str, str]], path: str) -> None:
    with pytest.raises(LabelError) as refused:
        from_pairs(["dog"], pairs)
    assert refused.value.code == "cycle"
    assert refused.value.problems[0].message.endswith(path)
    assert refused.value.problems[0].hint


def test_a_category_that_the_tree_lacks_is_a_root() -> None:
    hierarchy = from_pairs(["animal", "dog", "stone"], [("dog", "animal")])
    assert hierarchy.roots.tolist() == [0, 2]
    assert hierarchy.depths.tolist() == [0, 1, 0]


def test_a_tree_leads_through_ids_that_are_no_categories() -> None:
    hierarchy = from_pairs(["dog", "animal"], [("dog", "canine"), ("canine", "animal"), ("cat", "animal")])
    assert hierarchy.path(0, 1) == [0, 1]


@pytest.mark.parametrize(("wnid", "code"), [("n99999999", "unknown-synset"), ("dog", "bad-wnid")])
def test_an_unknown_id_is_refused(wnid: str, code: str, wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as refused:
        from_graph(wordnet, [DOG, wnid])
    assert refused.value.code == code
    assert wnid in str(refused.value)


def test_no_category_makes_an_empty_hierarchy(wordnet: NounGraph) -> None:
    for hierarchy in (from_graph(wordnet, []), from_pairs([], []), from_pairs([], [("dog", "animal")])):
        assert (len(hierarchy), hierarchy.pairs, hierarchy.roots.tolist()) == (0, 0, [])
        assert hierarchy.depths.tolist() == []
