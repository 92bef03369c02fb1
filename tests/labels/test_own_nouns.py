"""The law of own categories: one that lies below a synset is to the algebra what a noun there is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import (
    Decision,
    Named,
    Thresholds,
    build_vocabulary,
    decide,
    distinct_names,
    from_graph,
    nouns_of,
    tree_by_rule,
)
from mlimg_build.wordnet import NounGraph, OwnNoun, load, with_own

GRAPH = load()
INNER = {
    *GRAPH.content.pairs["hypernym"][:, 1].tolist(),
    *GRAPH.content.pairs["instance_hypernym"].ravel().tolist(),
}
LEAVES = tuple(GRAPH.wnid(i) for i in range(0, len(GRAPH), 37) if i not in INNER)
DOG, CANINE, WOMAN = "n02084071", "n02083346", "n10787470"
LAW = settings(max_examples=8, deadline=None)


class Twins(NamedTuple):
    """Leaves of WordNet, and a graph with an own node beside each that lies below the same synsets."""

    leaves: list[str]
    others: list[str]
    graph: NounGraph

    def twin(self, wnid: str) -> str:
        return f"own:twin_{wnid}" if wnid in self.leaves else wnid


@st.composite
def twins(draw: st.DrawFn) -> Twins:
    leaves = draw(st.lists(st.sampled_from(LEAVES), min_size=1, max_size=4, unique=True))
    above = sorted({one for leaf in leaves for one in GRAPH.ancestors(leaf)})
    others = draw(st.lists(st.sampled_from(above), max_size=6, unique=True))
    parents = {leaf: GRAPH.ancestors(leaf)[: _parents(leaf)] for leaf in leaves}
    own = [OwnNoun(f"own:twin_{leaf}", f"twin of {leaf}", parents[leaf]) for leaf in leaves]
    return Twins(leaves, others, with_own(GRAPH, own))


def _parents(wnid: str) -> int:
    return int(np.sum(GRAPH.content.pairs["hypernym"][:, 0] == GRAPH.index(wnid)))


@LAW
@given(twins())
def test_an_own_category_has_the_ancestors_of_a_noun_at_its_place(made: Twins) -> None:
    for leaf in made.leaves:
        assert made.graph.ancestors(made.twin(leaf)) == GRAPH.ancestors(leaf)
        assert (
            made.graph.lexname(made.twin(leaf)) == GRAPH.lexname(GRAPH.ancestors(leaf)[0])
            or _parents(leaf) > 1
        )
        assert made.twin(leaf) in made.graph.descendants(GRAPH.ancestors(leaf)[-1])


@LAW
@given(twins(), st.booleans())
def test_the_hierarchy_over_twins_is_that_over_the_nouns(made: Twins, by_rule: bool) -> None:
    nouns = [*made.leaves, *made.others]
    order = tree_by_rule if by_rule else from_graph
    here, there = order(GRAPH, nouns), order(made.graph, [made.twin(wnid) for wnid in nouns])
    assert (here.hops != there.hops).nnz == 0
    assert (here.parents != there.parents).nnz == 0


@LAW
@given(twins(), st.sampled_from(["none", "common", "all"]), st.booleans())
def test_a_vocabulary_of_twins_is_that_of_the_nouns(made: Twins, ancestors: str, cut: bool) -> None:
    """Whatever ancestors become categories and whatever lies below an exclusion."""

    def built(graph: NounGraph, names: list[str]) -> set[str]:
        decisions = [Decision("s", name, name, name, "same_id") for name in names]
        vocabulary = build_vocabulary(
            decisions,
            [1] * len(names),
            graph,
            thresholds=Thresholds({}),
            ancestors=ancestors,  # type: ignore[arg-type]
            exclude_below=made.others[:1] if cut else (),
        )
        return {*vocabulary.wnids}

    nouns, own = built(GRAPH, made.leaves), built(made.graph, [made.twin(leaf) for leaf in made.leaves])
    assert own == {made.twin(wnid) for wnid in nouns}


@LAW
@given(twins())
def test_the_nouns_stay_as_they_are(made: Twins) -> None:
    for wnid in made.leaves + made.others:
        assert made.graph.index(wnid) == GRAPH.index(wnid)
        assert made.graph.ancestors(wnid) == GRAPH.ancestors(wnid)
        assert made.graph.name(wnid) == GRAPH.name(wnid)
        assert made.graph.senses(GRAPH.lemmas(wnid)[0]) == GRAPH.senses(GRAPH.lemmas(wnid)[0])
    assert made.graph.wnids == sorted(made.graph.wnids)
    assert made.graph.wnids[: len(GRAPH)] == GRAPH.wnids
    assert made.graph.wordnet is not None
    assert made.graph.wordnet.digest == GRAPH.digest


@LAW
@given(st.permutations([("own:a", "Äpfel"), ("own:zebra-2", "7 up"), ("own:dog", "dog"), ("own:划", "划痕")]))
def test_the_order_of_declaration_changes_nothing(declared: list[tuple[str, str]]) -> None:
    graph = with_own(GRAPH, [OwnNoun(wnid, name, (CANINE,)) for wnid, name in declared])
    same = with_own(GRAPH, [OwnNoun(wnid, name, (CANINE,)) for wnid, name in sorted(declared)])
    assert graph == same
    for wnid, name in declared:
        assert wnid in graph.senses(name)
        assert graph.name(wnid) == name
        assert graph.wnid(graph.index(wnid)) == wnid
    assert graph.indices([wnid for wnid, _ in declared] + ["own:b", DOG]).tolist() == [
        *(graph.index(wnid) for wnid, _ in declared),
        -1,
        GRAPH.index(DOG),
    ]


def test_a_name_place_or_id_that_differs_makes_another_graph() -> None:
    made = [
        with_own(GRAPH, [OwnNoun("own:a", "dent", (DOG,))]),
        with_own(GRAPH, [OwnNoun("own:b", "dent", (DOG,))]),
        with_own(GRAPH, [OwnNoun("own:a", "Dent", (DOG,))]),
        with_own(GRAPH, [OwnNoun("own:a", "dent", (CANINE,))]),
        with_own(GRAPH, [OwnNoun("own:a", "dent")]),
        with_own(None, [OwnNoun("own:a", "dent")]),
        GRAPH,
    ]
    assert len({graph.digest for graph in made}) == len(made)
    assert with_own(GRAPH, []) is GRAPH


def test_a_name_of_an_own_category_is_that_category_and_no_noun() -> None:
    graph = with_own(GRAPH, [OwnNoun("own:pup", "dog", (DOG,)), OwnNoun("own:with_mask", "Mask on")])
    given_names = [
        Named("s", "1", "Dog"),
        Named("s", "pup", ""),
        Named("s", "own:PUP", ""),
        Named("s", "with-mask", ""),
        Named("s", "n02084071", "dog", DOG),
        Named("s", "3", "canine"),
    ]
    decided = decide(given_names, graph)
    assert [one.wnid for one in decided] == ["own:pup", "own:pup", "own:pup", "own:with_mask", DOG, CANINE]
    assert [one.method for one in decided[:5]] == ["own", "own", "own", "own", "same_id"]
    assert decided[0].evidence == ("its name",)
    assert decided[3].evidence == ("its name or slug, but for _ and -",)
    (reviewed,) = decide(given_names[:1], graph, reviewed={("s", "1"): DOG})
    assert (reviewed.wnid, reviewed.method) == (DOG, "file")


def test_other_forms_of_an_own_name_are_candidates_as_those_of_nouns_are() -> None:
    graph = with_own(GRAPH, [OwnNoun("own:solder_bridge", "solder bridge")])
    assert [one.wnid for one in nouns_of("solder bridges", graph)] == ["own:solder_bridge"]
    (head,) = nouns_of("faulty solder bridge", graph)
    assert head.is_head
    assert head.wnid == "own:solder_bridge"


def test_two_of_one_name_are_told_apart() -> None:
    graph = with_own(GRAPH, [OwnNoun("own:pup", "dog", (CANINE,)), OwnNoun("own:hound", "dog")])
    names = distinct_names(graph, ["own:hound", "own:pup", DOG])
    assert len({*names}) == 3


@pytest.mark.parametrize(
    ("wnid", "code", "hint"),
    [
        ("own:with_msk", "unknown-synset", "own:with_mask"),
        ("n10787471", "unknown-synset", WOMAN),
        ("own", "bad-wnid", "n02084071"),
    ],
)
def test_an_id_that_is_not_there_is_an_error_with_near_ones(wnid: str, code: str, hint: str) -> None:
    graph = with_own(GRAPH, [OwnNoun("own:with_mask", "with mask")])
    assert wnid not in graph
    with pytest.raises(WordNetError) as caught:
        graph.index(wnid)
    assert caught.value.problems[0].code == code
    assert hint in str(caught.value.problems[0].hint)
    assert hint in graph.near(wnid) or code == "bad-wnid"


def test_own_categories_that_go_round_are_an_error_that_names_them() -> None:
    own = [OwnNoun("own:a", "a", ("own:b",)), OwnNoun("own:b", "b", ("own:a", DOG)), OwnNoun("own:c", "c")]
    with pytest.raises(WordNetError, match="own:a → own:b → own:a"):
        with_own(GRAPH, own)


def test_a_graph_of_own_nodes_alone_has_no_edge_and_needs_no_wordnet() -> None:
    graph = with_own(None, [OwnNoun("own:b", "Beule"), OwnNoun("own:a", "ä")])
    assert graph.wnids == ["own:a", "own:b"]
    assert graph.ancestors("own:a") == ()
    assert graph.closure().nnz == 0
    assert graph.record().keys() == {"own"}
    assert from_graph(graph, ["own:a", "own:b"]).pairs == 0
