"""What counts as a doubtful name: two likely senses, or two categories of one name; never what people decided."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.labels import (
    NEAR,
    Alternative,
    Decision,
    MappedCategory,
    doubtful_findings,
    near_ties,
    same_names,
)
from mlimg_build.wordnet import NounGraph

KITE, HAWK = "n03621473", "n01608432"


def placed(
    score: float,
    other: float,
    *,
    key: str = "/m/k",
    name: str = "Kite",
    fate: str = "used",
    method: str = "lemma",
) -> MappedCategory:
    decision = Decision("s", key, name, KITE, method, "kite", (Alternative(HAWK, other),), score)
    return MappedCategory(decision, KITE, fate, 3)


@given(st.floats(0.01, 1), st.floats(0, 1))
def test_a_second_sense_is_a_doubt_from_a_share_of_the_first_on(score: float, share: float) -> None:
    other = score * share
    assert bool(near_ties([placed(score, other)], 2.0)) == (other >= NEAR * score)


def test_what_people_decided_accepted_or_do_not_use_is_no_doubt() -> None:
    assert near_ties([placed(0.5, 0.45)], 2.0)
    assert not near_ties([placed(0.5, 0.45)], 0.5), "the spec accepts it"
    assert not near_ties([placed(1.0, 1.0, method="file")], 2.0)
    assert not near_ties([placed(1.0, 1.0, method="same_id")], 2.0)
    assert not near_ties([placed(0.5, 0.45, fate="excluded")], 2.0)


def test_two_ids_of_one_name_are_a_doubt_while_a_rule_placed_one() -> None:
    one, two = placed(0.9, 0, key="/m/1"), placed(0.9, 0, key="/m/2", name="kite")
    assert same_names([one, two]) == [[one, two]]
    signed = placed(1.0, 0, key="/m/1", method="file")
    assert same_names([signed, two]) == [[signed, two]]
    assert same_names([signed, placed(1.0, 0, key="/m/2", method="file")]) == []
    assert same_names([placed(0.9, 0, key="/m/1", fate="excluded"), two]) == []
    ids = [placed(1.0, 0, key=key, method="same_id") for key in ("n1", "n2")]
    assert same_names(ids) == [], "crane and crane of ImageNet are told apart by their ids"
    folders = [placed(0.9, 0, key="Kite", name="Kite"), placed(0.9, 0, key="kite", name="kite")]
    assert same_names(folders) == [], "folders whose names are all that they have"


def test_a_finding_names_both_senses_so_that_they_can_be_told_apart(wordnet: NounGraph) -> None:
    found = doubtful_findings([placed(0.5, 0.45), placed(0.9, 0, key="/m/2")], 2.0, wordnet)
    assert [one.kind for one in found] == ["near-tie", "same-name"]
    assert "a kind of plaything" in found[0].message
    assert "a kind of hawk" in found[0].message
    assert found[0].related == (HAWK,)
    assert found[1].count == 6


def test_senses_with_the_same_words_have_their_definitions(wordnet: NounGraph) -> None:
    altered, uncovered = "n13382471", "n13382306"
    decision = Decision("s", "k", "kite", altered, "lemma", "kite", (Alternative(uncovered, 0.45),), 0.5)
    (found,) = doubtful_findings([MappedCategory(decision, altered, "used", 3)], 2.0, wordnet)
    assert "kite (a kind of check): a bank check that has been fraudulently altered" in found.message
    assert "kite (a kind of check): a bank check drawn on insufficient funds" in found.message
