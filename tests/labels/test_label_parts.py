"""Parts and wholes inside a vocabulary, and the circles that they make with hypernyms."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import circular_parts, from_graph, part_pairs
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published

APPLE, APPLE_TREE, WHEEL, VEHICLE = "n07739125", "n12633994", "n04574999", "n04576211"
UPRIGHT, GOALPOST = "n04515129", "n03443149"
PLANT = "n00017222"


def test_there_are_886_parts_of_wholes_among_the_published_categories(
    published: Published, wordnet: NounGraph
) -> None:
    pairs = part_pairs(wordnet, published.wnids)
    assert len(pairs) == 886
    assert list(pairs) == sorted(set(pairs))
    assert (APPLE, APPLE_TREE) in pairs
    plants = {PLANT, *wordnet.descendants(PLANT)}
    assert sum(whole in plants for _, whole in pairs) == 143
    edges = wordnet.edges("part_holonym")
    assert all(edges[wordnet.index(part), wordnet.index(whole)] for part, whole in pairs)


def test_all_published_parts_together_make_one_circle(published: Published, wordnet: NounGraph) -> None:
    pairs = part_pairs(wordnet, published.wnids)
    with pytest.raises(WordNetError) as refused:
        from_graph(wordnet, published.wnids, extra=pairs)
    assert refused.value.code == "cycle"
    assert circular_parts(wordnet, pairs) == ((UPRIGHT, GOALPOST),)
    allowed = [pair for pair in pairs if pair != (UPRIGHT, GOALPOST)]
    assert from_graph(wordnet, published.wnids, extra=allowed).pairs > published.dag.pairs


def test_a_circle_through_a_part_is_shown_by_names_ids_and_relations(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as refused:
        from_graph(wordnet, [UPRIGHT, GOALPOST], extra=[(UPRIGHT, GOALPOST)])
    assert refused.value.problems[0].message == (
        "The hierarchy has a cycle: goalpost (n03443149) -hypernym-> post (n03988170) -hypernym-> "
        "upright (n04515129) -part_holonym-> goalpost (n03443149)"
    )


def test_a_part_counts_only_where_its_whole_is_a_category_too(wordnet: NounGraph) -> None:
    assert part_pairs(wordnet, [WHEEL, APPLE, VEHICLE]) == ((WHEEL, VEHICLE),)
    assert part_pairs(wordnet, [WHEEL, APPLE]) == part_pairs(wordnet, []) == ()


def test_pairs_against_each_other_are_circular(wordnet: NounGraph) -> None:
    there, back = (WHEEL, VEHICLE), (VEHICLE, WHEEL)
    assert circular_parts(wordnet, [there, (APPLE, APPLE_TREE), back]) == (there, back)
    assert circular_parts(wordnet, [there]) == circular_parts(wordnet, []) == ()
    assert circular_parts(wordnet, [(WHEEL, WHEEL)]) == ((WHEEL, WHEEL),)


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_without_the_circular_ones_all_pairs_can_be_allowed_at_once(
    data: st.DataObject, wordnet: NounGraph
) -> None:
    known = wordnet.content.pairs["part_holonym"]
    rows = data.draw(st.lists(st.integers(0, len(known) - 1), max_size=200, unique=True))
    pairs = [(wordnet.wnid(part), wordnet.wnid(whole)) for part, whole in known[rows].tolist()]
    pairs.append((UPRIGHT, GOALPOST))
    circular = circular_parts(wordnet, pairs)
    assert (UPRIGHT, GOALPOST) in circular
    wordnet.closure(extra=[pair for pair in pairs if pair not in circular])
