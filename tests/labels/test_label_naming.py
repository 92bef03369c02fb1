"""Names that tell categories apart, and the names of NLTK."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import distinct_names, synset_name
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published, vocabularies

BIRD, MACHINE, DOG = "n02012849", "n03126707", "n02084071"
LIMES = ["n07749731", "n12711984"]  # the fruit and the tree; a citrus both


@pytest.mark.parametrize(
    ("wnid", "name"),
    [(DOG, "dog.n.01"), (BIRD, "crane.n.05"), (MACHINE, "crane.n.04"), ("n02112826", "corgi.n.01")],
)
def test_a_synset_is_called_as_nltk_calls_it(wnid: str, name: str, wordnet: NounGraph) -> None:
    assert synset_name(wordnet, wnid) == name


def test_no_two_synsets_have_one_name(published: Published, wordnet: NounGraph) -> None:
    assert len({synset_name(wordnet, wnid) for wnid in published.wnids}) == 11_166


def test_a_name_that_is_alone_stays_as_it_is(wordnet: NounGraph) -> None:
    assert distinct_names(wordnet, [BIRD, DOG]) == ("crane", "dog")
    assert distinct_names(wordnet, []) == ()


def test_categories_of_one_name_are_told_apart_by_what_they_are(wordnet: NounGraph) -> None:
    assert distinct_names(wordnet, [BIRD, MACHINE]) == ("crane (wading bird)", "crane (lifting device)")


def test_upper_and_lower_case_are_alike(wordnet: NounGraph) -> None:
    country, bird = "n09039411", "n01794158"
    assert [wordnet.name(wnid) for wnid in (country, bird)] == ["Turkey", "turkey"]
    assert not {"Turkey", "turkey"} & {*distinct_names(wordnet, [country, bird])}


def test_where_the_nearest_hypernym_is_shared_the_next_one_tells(wordnet: NounGraph) -> None:
    assert distinct_names(wordnet, LIMES) == ("lime (edible fruit)", "lime (fruit tree)")


def test_where_nothing_near_tells_the_id_does(wordnet: NounGraph) -> None:
    substances = ["n00019613", "n00020090"]
    assert set(distinct_names(wordnet, substances)) == {f"substance ({wnid})" for wnid in substances}


def test_the_published_categories_have_11166_names(published: Published, wordnet: NounGraph) -> None:
    names = distinct_names(wordnet, published.wnids)
    assert len({name.lower() for name in names}) == 11_166
    assert sum("(" not in name for name in names) > 9_000


def test_an_unknown_id_has_no_name(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError, match="n99999999"):
        distinct_names(wordnet, [DOG, "n99999999"])


def test_a_category_that_stands_twice_has_no_name_of_its_own(wordnet: NounGraph) -> None:
    with pytest.raises(ValueError, match="stands twice"):
        distinct_names(wordnet, [DOG, BIRD, DOG])


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_names_differ_and_do_not_depend_on_the_order(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    """Synsets of a few lemmas, so that names meet."""
    wnids = [wordnet.wnid(i) for i in data.draw(vocabularies(above))]
    wnids = sorted({sense for wnid in wnids for sense in wordnet.senses(wordnet.lemmas(wnid)[0])})
    turned = data.draw(st.permutations(wnids))
    names = dict(zip(wnids, distinct_names(wordnet, wnids), strict=True))
    assert len({name.lower() for name in names.values()}) == len(wnids)
    assert dict(zip(turned, distinct_names(wordnet, turned), strict=True)) == names
    assert all(name.startswith(wordnet.name(wnid)) for wnid, name in names.items())
