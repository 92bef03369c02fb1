"""From the categories of sources to synsets: the file, ids, synonyms, lemmas and their forms."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.errors import WordNetError
from mlimg_build.labels import POLICIES, Decision, Named, decide, spellings
from mlimg_build.wordnet import NounGraph, load

DOG, CRANE_BIRD, CRANE_MACHINE, STEPHEN_CRANE = "n02084071", "n02012849", "n03126707", "n10914447"
JERSEY = "n03595614"  # jersey, T-shirt, tee shirt
GRAPH = load()


def named(
    name: str, graph: NounGraph, *others: Named, synonyms: bool = True, policy: str = "weighted"
) -> Decision:
    return decide([Named("names", "/m/1", name), *others], graph, synonyms=synonyms, policy=policy)[0]


def others(made: Decision) -> tuple[str, ...]:
    return tuple(one.wnid for one in made.alternatives)


def test_the_file_wins_over_an_id_and_over_a_name(wordnet: NounGraph) -> None:
    categories = [Named("ids", "a", "crane", CRANE_BIRD), Named("names", "b", "crane")]
    reviewed = {("ids", "a"): CRANE_MACHINE, ("names", "b"): DOG}
    made = decide(categories, wordnet, reviewed=reviewed)
    assert [(one.wnid, one.method, one.alternatives) for one in made] == [
        (CRANE_MACHINE, "file", ()),
        (DOG, "file", ()),
    ]


def test_the_file_can_leave_a_category_out(wordnet: NounGraph) -> None:
    (made,) = decide([Named("ids", "a", "dog", DOG)], wordnet, reviewed={("ids", "a"): None})
    assert (made.wnid, made.method) == (None, "file")


def test_an_id_that_a_source_gives_is_taken_whatever_the_name(wordnet: NounGraph) -> None:
    (made,) = decide([Named("ids", "n02012849", "dog", CRANE_BIRD)], wordnet)
    assert (made.wnid, made.method) == (CRANE_BIRD, "same_id")


def test_by_sense_order_a_name_alone_takes_the_first_sense_and_keeps_the_others(wordnet: NounGraph) -> None:
    made = named("crane", wordnet, policy="first_sense")
    assert (made.wnid, made.method, made.form) == (STEPHEN_CRANE, "lemma", "crane")
    assert others(made) == ("n10914331", "n09295455", CRANE_MACHINE, CRANE_BIRD)


def test_a_name_alone_is_rather_a_thing_than_a_writer(wordnet: NounGraph) -> None:
    made = named("crane", wordnet)
    assert (made.wnid, made.method, made.relation) == (CRANE_MACHINE, "lemma", "same_as")
    assert others(made)[0] == CRANE_BIRD
    assert sorted(others(made)[1:]) == sorted([STEPHEN_CRANE, "n10914331", "n09295455"])


def test_a_name_prefers_the_sense_that_another_source_has_by_id(wordnet: NounGraph) -> None:
    made = named("crane", wordnet, Named("ids", "n02012849", "", CRANE_BIRD))
    assert (made.wnid, made.method) == (CRANE_BIRD, "synonym")
    assert others(made)[0] == CRANE_MACHINE
    assert "another category has it by id" in made.evidence


def test_of_two_senses_that_others_have_the_score_decides(wordnet: NounGraph) -> None:
    birds = [Named("ids", "x", "", CRANE_BIRD), Named("ids", "y", "", CRANE_MACHINE)]
    assert named("crane", wordnet, *birds).wnid == CRANE_MACHINE
    assert named("crane", wordnet, *reversed(birds)).wnid == CRANE_MACHINE


@pytest.mark.parametrize("policy", POLICIES)
def test_without_synonyms_the_ids_of_others_say_nothing(policy: str, wordnet: NounGraph) -> None:
    beside = named("crane", wordnet, Named("ids", "x", "", CRANE_BIRD), synonyms=False, policy=policy)
    assert beside == named("crane", wordnet, policy=policy)
    assert (beside.wnid != CRANE_BIRD, beside.method) == (True, "lemma")


def test_an_id_that_the_file_gives_draws_names_too(wordnet: NounGraph) -> None:
    categories = [Named("names", "a", "crane"), Named("other", "b", "Kranich")]
    made = decide(categories, wordnet, reviewed={("other", "b"): CRANE_BIRD})
    assert (made[0].wnid, made[0].method) == (CRANE_BIRD, "synonym")


@pytest.mark.parametrize("instead", [None, DOG])
def test_an_id_that_the_file_takes_from_a_category_draws_no_name(
    instead: str | None, wordnet: NounGraph
) -> None:
    categories = [Named("names", "a", "crane"), Named("ids", "b", "", CRANE_BIRD)]
    made = decide(categories, wordnet, reviewed={("ids", "b"): instead})
    assert (made[0].wnid, made[0].method) == (CRANE_MACHINE, "lemma")


def test_a_line_of_the_file_about_no_category_draws_no_name(wordnet: NounGraph) -> None:
    made = decide([Named("names", "a", "crane")], wordnet, reviewed={("other", "unused"): CRANE_BIRD})
    assert (made[0].wnid, made[0].method) == (CRANE_MACHINE, "lemma")


@pytest.mark.parametrize(
    ("name", "wnid", "form"),
    [
        ("Dog", DOG, "Dog"),
        ("dogs", DOG, "dog"),
        ("geese", "n01855672", "goose"),
        ("glasses", "n04272054", "glasses"),  # a lemma of its own is no plural
        ("T-shirts", JERSEY, "t-shirt"),
        ("tee-shirt", JERSEY, "tee shirt"),
        ("t shirt", JERSEY, "t-shirt"),
        ("t_shirt", JERSEY, "t-shirt"),
        ("tee  shirt", JERSEY, "tee shirt"),
        ("Jaguar (animal)", "n02128925", "Jaguar"),
        ("jaguar_(animal)", "n02128925", "jaguar"),
        ("foot ball", "n03378765", "football"),
        ("Domestic animals (pets)", "n01317541", "domestic_animal"),
    ],
)
def test_a_name_is_found_under_the_form_that_wordnet_has(
    name: str, wnid: str, form: str, wordnet: NounGraph
) -> None:
    made = named(name, wordnet)
    assert (made.wnid, made.method, made.form) == (wnid, "lemma", form)


def test_a_plural_of_two_words_offers_the_senses_of_both(wordnet: NounGraph) -> None:
    axe = wordnet.senses("ax")[0]
    made = named("axes", wordnet)
    assert (made.wnid, made.form) == (axe, "ax")
    assert sorted(others(made)) == sorted(wordnet.senses("axis"))
    shaft = Named("ids", "x", "", "n02764614")
    for policy in POLICIES:
        drawn = named("axes", wordnet, shaft, policy=policy)
        assert (drawn.wnid, drawn.form, drawn.method) == ("n02764614", "axis", "synonym")


@pytest.mark.parametrize("name", ["quidditch quaffle", "()", "%", " "])
def test_a_name_that_no_noun_has_is_unresolved(name: str, wordnet: NounGraph) -> None:
    made = named(name, wordnet)
    assert (made.wnid, made.method, made.form) == (None, "unresolved", "")
    assert all(one.near and one.score < 0.1 for one in made.alternatives), "quaff is one letter away"


def test_a_category_without_a_name_is_looked_up_by_its_id(wordnet: NounGraph) -> None:
    (made,) = decide([Named("folder", "dog", "")], wordnet)
    assert (made.wnid, made.name) == (DOG, "")


@given(
    st.permutations(
        [
            Named("ids", "n02012849", "", CRANE_BIRD),
            Named("ids", "n02084071", "", DOG),
            Named("names", "/m/1", "crane"),
            Named("names", "/m/2", "hound"),
            Named("names", "/m/3", "domestic dog"),
            Named("other", "4", "Kranich"),
            Named("other", "5", "quidditch quaffle"),
        ]
    )
)
@settings(max_examples=20, deadline=None)
def test_decisions_do_not_depend_on_the_order_of_categories(categories: list[Named]) -> None:
    made = decide(
        categories,
        GRAPH,
        reviewed={("other", "4"): CRANE_MACHINE},
        parents={("names", "/m/2"): ("/m/3",)},
        colabels={("names", "/m/1"): [(("names", "/m/2"), 3), (("ids", "n02084071"), 2)]},
    )
    assert [(one.source, one.id) for one in made] == [(one.source, one.id) for one in categories]
    assert {one.id: (one.wnid, one.method) for one in made} == {
        "n02012849": (CRANE_BIRD, "same_id"),
        "n02084071": (DOG, "same_id"),
        "/m/1": (CRANE_BIRD, "synonym"),
        "/m/2": ("n02087551", "lemma"),
        "/m/3": (DOG, "synonym"),
        "4": (CRANE_MACHINE, "file"),
        "5": (None, "unresolved"),
    }


def test_unknown_ids_are_refused_with_all_of_them(wordnet: NounGraph) -> None:
    categories = [Named("ids", str(i), "", f"n999999{i}") for i in range(10, 40)]
    reviewed = {("names", "a"): "n99999901", ("ids", "10"): DOG, ("names", "b"): None}
    with pytest.raises(WordNetError) as refused:
        decide([*categories, Named("other", "z", "", "dog")], wordnet, reviewed=reviewed)
    assert refused.value.code == "unknown-synset"
    message = str(refused.value)
    assert all(f"n999999{i} (ids)" in message for i in range(11, 40))
    assert "n99999901 (names)" in message
    assert "dog (other)" in message
    assert "n99999910" not in message, "the file gives this category another id"


@given(st.text(st.sampled_from("aB-_ ()\t"), max_size=9) | st.text(max_size=9))
def test_spellings_are_distinct_and_none_is_empty(name: str) -> None:
    forms = list(spellings(name))
    assert len(forms) == len(set(forms))
    assert all(" ".join(form.split()) == form != "" for form in forms)


def test_names_on_which_two_tables_agree_are_among_the_senses(shared_data: Path, wordnet: NounGraph) -> None:
    with (shared_data / "open-images" / "name_to_wnid_truth.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["wnid_rvc"] == row["wnid_lvis"] != ""]
    made = decide([Named("names", row["mid"], row["name"]) for row in rows], wordnet)
    right = sum(one.wnid == row["wnid_rvc"] for one, row in zip(made, rows, strict=True))
    offered = sum(row["wnid_rvc"] in {one.wnid, *others(one)} for one, row in zip(made, rows, strict=True))
    assert (len(rows), offered) == (103, 103), "names, one of the senses right"
    assert right >= 96


ANIMALS_AND_THINGS = (
    *("zebra", "giraffe", "elephant", "owl", "lizard", "horse", "sheep", "bear", "beagle", "poodle", "shark"),
    *("bicycle", "airplane", "oven", "clock", "vase", "scissors", "toaster", "bottle", "chair", "kettle"),
    *("beach", "sunset", "kitchen", "surfboard", "umbrella", "backpack", "laptop", "keyboard", "spoon"),
)


@pytest.mark.parametrize("place", ["Labrador", "Boston", "Brittany", "Hokkaido", "Toyota"])
def test_a_place_s_only_sense_is_no_certainty_among_animals_and_things(
    place: str, wordnet: NounGraph
) -> None:
    made, *others = decide([Named("t", name, "") for name in (place, *ANIMALS_AND_THINGS)], wordnet)
    assert made.score < 0.8
    assert any("unlike the other categories" in clause for clause in made.evidence)
    alone = [one for one in others if not one.alternatives]
    assert len(alone) > 10
    assert all(one.score >= 0.97 for one in alone), "a beach and an evening may stand among animals"


def test_two_places_among_animals_do_not_vouch_for_each_other(wordnet: NounGraph) -> None:
    names = ("Labrador", "Boston", *ANIMALS_AND_THINGS)
    made = decide([Named("t", name, "") for name in names], wordnet)
    assert max(made[0].score, made[1].score) < 0.8


def test_a_place_among_places_is_sure(wordnet: NounGraph) -> None:
    names = ("Labrador", "Boston", "Hokkaido", "Sahara", "Brittany", "Sicily", "Chicago")
    made = decide([Named("t", name, "") for name in names], wordnet)
    assert made[0].score >= 0.95
    alone = decide([Named("t", "Labrador", "")], wordnet)[0]
    assert alone.score == 0.97
