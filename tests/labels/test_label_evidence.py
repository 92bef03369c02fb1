"""Each thing that speaks for a sense, on names for which it decides."""

from __future__ import annotations

import pytest

from mlimg_build.labels import Alternative, Decision, Named, decide
from mlimg_build.wordnet import NounGraph

CAKE, DOG, ANIMAL, MOUSE_ANIMAL, MOUSE_COMPUTER = (
    "n07628870",
    "n02084071",
    "n00015388",
    "n02330245",
    "n03793489",
)
TURKEY_BIRD, TURKEY_COUNTRY, SEAL_ANIMAL = "n01794158", "n09039411", "n02076196"


def one(name: str, graph: NounGraph, **context: object) -> Decision:
    return decide([Named("names", "1", name)], graph, **context)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "wnid", "hint"),
    [
        ("Crane (bird)", "n02012849", "bird"),
        ("crane (device)", "n03126707", "device"),
        ("Mouse (computer)", MOUSE_COMPUTER, "computer"),
        ("mouse (animal)", MOUSE_ANIMAL, "animal"),
        ("Turkey (country)", TURKEY_COUNTRY, "country"),
        ("Seal (animals)", SEAL_ANIMAL, "animals"),
        ("Mercury (planet)", "n09351408", "planet"),
        ("Bass (fish)", "n02565573", "fish"),
    ],
)
def test_what_stands_in_parentheses_picks_the_sense(
    name: str, wnid: str, hint: str, wordnet: NounGraph
) -> None:
    made = one(name, wordnet)
    assert made.wnid == wnid
    assert f"fits {hint}" in made.evidence


@pytest.mark.parametrize(
    ("name", "wnid", "form"),
    [
        ("coffeemaker", "n03063338", "coffee maker"),
        ("kiwifruit", "n07763629", "kiwi fruit"),
        ("foot ball player", "n10101634", "football player"),
        ("crème brûlée", "n07619409", "creme brulee"),
        ("archaeological site", "n08550076", "archeological site"),
        ("hot air balloon", "n03541923", "hot-air balloon"),
        ("t\u2019ai chi", "n00826789", "t'ai chi"),
    ],
)
def test_a_name_is_found_under_another_spelling(name: str, wnid: str, form: str, wordnet: NounGraph) -> None:
    made = one(name, wordnet)
    assert (made.wnid, made.form, made.relation) == (wnid, form, "same_as")
    assert f"as {form!r}" in made.evidence


@pytest.mark.parametrize(
    ("name", "wnid", "form"),
    [
        ("rhubarb crumble cake", CAKE, "cake"),
        ("bottle of wine", "n02876657", "bottle"),
        ("airbus a380", "n02686121", "airbus"),
        ("finnish hunting dogs", "n02087122", "hunting_dog"),
        ("tortilla de patatas", "n07880583", "tortilla"),
    ],
)
def test_a_head_word_makes_a_kind_of_its_synset(name: str, wnid: str, form: str, wordnet: NounGraph) -> None:
    made = one(name, wordnet)
    assert (made.wnid, made.method, made.relation, made.form) == (wnid, "head", "is_a", form)
    assert made.score < 0.5, "of a head that nothing else speaks for"


def test_a_name_that_wordnet_has_is_no_kind_of_its_head(wordnet: NounGraph) -> None:
    made = one("chocolate cake", wordnet)
    assert (made.wnid, made.method, made.relation) == ("n07630294", "lemma", "same_as")


@pytest.mark.parametrize("name", ["renault laguna ii", "rays and skates", "ducks, geese and swans"])
def test_neither_several_things_nor_a_brand_is_a_kind_of_its_last_word(name: str, wordnet: NounGraph) -> None:
    made = one(name, wordnet)
    assert made.wnid is None or made.score < 0.4


def test_a_single_place_has_no_kinds(wordnet: NounGraph) -> None:
    city, wine = wordnet.senses("bordeaux")
    made = one("château bordeaux", wordnet)
    assert (made.wnid, made.alternatives) == (wine, ())
    assert one("bordeaux", wordnet).alternatives[0].wnid == city


def test_a_single_person_has_no_plural(wordnet: NounGraph) -> None:
    chosen = one("einsteins", wordnet)
    assert wordnet.senses("einstein")[0] not in {chosen.wnid, *(row.wnid for row in chosen.alternatives)}


def test_a_head_is_trusted_more_where_it_is_a_category_and_several_names_have_it(wordnet: NounGraph) -> None:
    names = ["running shoe", "blue shoe", "gala shoe", "evening shoe", "shoe"]
    made = decide([Named("names", name, name) for name in names], wordnet)
    alone = one("blue shoe", wordnet)
    assert (made[1].wnid, made[1].relation) == (made[4].wnid, "is_a")
    assert made[1].score > alone.score
    assert {"its head is a category itself", "3 names have this head"} <= set(made[1].evidence)


def test_a_parent_picks_the_sense_below_it(wordnet: NounGraph) -> None:
    names = [Named("names", "1", "seal"), Named("names", "2", "animal"), Named("names", "3", "fastener")]
    animal, device = (decide(names, wordnet, parents={("names", "1"): (parent,)})[0] for parent in ("2", "3"))
    assert animal.wnid == SEAL_ANIMAL
    assert f"below its parent's synset {ANIMAL} animal" in animal.evidence
    assert device.wnid == "n04159354"
    assert wordnet.lexname(device.wnid) == "noun.artifact"


@pytest.mark.parametrize(
    ("name", "parent", "wnid"), [("trunk", "elephant", "n02452967"), ("crown", "tooth", "n05308141")]
)
def test_a_part_of_its_parent_is_as_good(name: str, parent: str, wnid: str, wordnet: NounGraph) -> None:
    names = [Named("names", "1", name), Named("names", "2", parent)]
    made = decide(names, wordnet, parents={("names", "1"): ("2",)})
    assert made[0].wnid == wnid != one(name, wordnet).wnid
    assert f"part of its parent's synset {made[1].wnid} {parent}" in made[0].evidence


def test_a_sense_that_is_not_below_its_parent_says_so(wordnet: NounGraph) -> None:
    names = [Named("names", "1", "jaguar"), Named("names", "2", "car")]
    made = decide(names, wordnet, parents={("names", "1"): ("2",)})[0]
    assert "not below its parent's synset" in made.evidence


def test_a_parent_that_nothing_fits_is_passed_over(wordnet: NounGraph) -> None:
    names = [
        Named("names", "1", "seal"),
        Named("names", "2", "quidditch quaffle"),
        Named("names", "3", "animal"),
    ]
    nested = {("names", "1"): ("2",), ("names", "2"): ("3",), ("names", "3"): ("1",)}
    assert decide(names, wordnet, parents=nested)[0].wnid == SEAL_ANIMAL


def test_of_two_parents_the_nearer_one_tells_more_and_the_top_tells_nothing(wordnet: NounGraph) -> None:
    names = [Named("names", *row) for row in (("1", "kite"), ("2", "toy"), ("3", "entity"), ("4", "bird"))]
    above = {("names", "1"): ("2",), ("names", "2"): ("4",), ("names", "4"): ("3",)}
    toy = decide(names, wordnet, parents=above)[0]
    bird = decide(names, wordnet, parents={("names", "1"): ("4",), ("names", "4"): ("2",)})[0]
    assert [wordnet.lexname(one.wnid or "") for one in (toy, bird)] == ["noun.artifact", "noun.animal"]
    without = decide(names[:2], wordnet, parents={("names", "1"): ("2",)})[0]
    topped = decide(names[:3], wordnet, parents={("names", "1"): ("2", "3")})[0]
    assert topped.score == pytest.approx(without.score, abs=0.01)


def test_a_name_that_its_source_puts_in_two_places_is_a_doubt(wordnet: NounGraph) -> None:
    names = [
        Named("names", "1", "mouse"),
        Named("names", "2", "mammal"),
        Named("names", "3", "electronic device"),
    ]
    names += [Named("names", name, name, wordnet.senses(name)[0]) for name in ("rat", "hamster", "squirrel")]
    once = decide(names, wordnet, parents={("names", "1"): ("2",)})[0]
    twice = decide(names, wordnet, parents={("names", "1"): ("2", "3")})[0]
    assert once.wnid == twice.wnid == MOUSE_ANIMAL
    assert once.score > 0.9
    assert twice.score == 0.5
    told = f"its source puts it below electronic device n03277771, too, where mouse {MOUSE_COMPUTER} fits"
    assert told in twice.evidence


ELECTRONIC = (
    "mouse",
    "tv",
    "laptop",
    "remote",
    "keyboard",
    "cell phone",
)  # a group of COCO, whose name is no noun


def test_a_name_of_another_kind_than_its_group_takes_the_sense_that_fits_and_is_a_doubt(
    wordnet: NounGraph,
) -> None:
    names = [Named("coco", name, name) for name in ELECTRONIC]
    groups = {("coco", name): ("electronic",) for name in ELECTRONIC}
    alone, grouped = (decide(names, wordnet, parents=parents)[0] for parents in ({}, groups))
    assert (alone.wnid, grouped.wnid) == (MOUSE_ANIMAL, MOUSE_COMPUTER)
    assert grouped.score == 0.5
    assert grouped.alternatives[0].wnid == MOUSE_ANIMAL
    told = "5 others that its source puts below 'electronic' are of the kind artifact"
    assert f"{told}: by its name alone it would be mouse {MOUSE_ANIMAL}" in grouped.evidence


def test_a_group_says_nothing_if_it_is_small_mixed_or_has_another_of_the_kind(wordnet: NounGraph) -> None:
    for others in (
        ELECTRONIC[1:4],
        ("tv", "laptop", "apple", "sandwich", "oak"),
        (*ELECTRONIC[1:], "hamster"),
    ):
        names = [Named("s", name, name) for name in ("mouse", *others)]
        parents = {("s", one.id): ("group",) for one in names}
        assert decide(names, wordnet, parents=parents)[0].wnid == MOUSE_ANIMAL


def test_the_labels_of_the_same_images_pick_the_sense(wordnet: NounGraph) -> None:
    names = [
        Named("names", str(i), name)
        for i, name in enumerate(["mouse", "keyboard", "computer monitor", "laptop", "cat", "rat", "hamster"])
    ]
    at_desk = [(("names", str(i)), 50) for i in (1, 2, 3)]
    in_cage = [(("names", str(i)), 50) for i in (4, 5, 6)]
    elsewhere = {("names", "9"): [*at_desk, *in_cage]}
    desk, cage = (
        decide(names, wordnet, colabels={("names", "0"): seen, **elsewhere})[0] for seen in (at_desk, in_cage)
    )
    assert cage.wnid == MOUSE_ANIMAL
    assert "its images also show rat, hamster" in cage.evidence
    assert share(desk, MOUSE_COMPUTER) > 2 * share(cage, MOUSE_COMPUTER)


def test_many_categories_around_a_sense_speak_for_it(wordnet: NounGraph) -> None:
    birds = ["heron", "stork", "flamingo", "egret", "bittern", "spoonbill", "ibis", "limpkin", "coot"]
    made = decide([Named("names", name, name) for name in ["crane", *birds]], wordnet)[0]
    assert made.wnid == "n02012849"
    assert "9 other categories are kinds of wading bird n02000954" in made.evidence


def test_a_writer_a_place_and_an_idea_are_no_pictures(wordnet: NounGraph) -> None:
    for name, wnid in [("turkey", TURKEY_BIRD), ("donkey", "n02389559"), ("poster", "n06793426")]:
        assert one(name, wordnet).wnid == wnid


def test_alternatives_are_the_other_senses_and_share_the_rest_of_the_score(wordnet: NounGraph) -> None:
    made = one("bowl", wordnet)
    assert {made.wnid, *(other.wnid for other in made.alternatives)} == set(wordnet.senses("bowl"))
    scores = [other.score for other in made.alternatives]
    assert made.score >= scores[0]
    assert scores == sorted(scores, reverse=True)
    assert made.score + sum(scores) == pytest.approx(0.97, abs=0.01)
    assert isinstance(made.alternatives[0], Alternative)


def test_ids_and_reviews_are_sure(wordnet: NounGraph) -> None:
    names = [Named("names", "1", "x", DOG), Named("names", "2", "dog"), Named("names", "3", "dog")]
    made = decide(names, wordnet, reviewed={("names", "2"): CAKE, ("names", "3"): None})
    assert [(row.wnid, row.score, row.relation) for row in made] == [
        (DOG, 1.0, "same_as"),
        (CAKE, 1.0, "same_as"),
        (None, 1.0, "same_as"),
    ]


def test_an_unknown_policy_is_refused_with_those_there_are(wordnet: NounGraph) -> None:
    with pytest.raises(ValueError, match="first_sense, weighted"):
        one("dog", wordnet, policy="best")


def share(made: Decision, wnid: str) -> float:
    return dict([(made.wnid, made.score), *((one.wnid, one.score) for one in made.alternatives)])[wnid]


def test_what_a_policy_does_not_weigh_is_no_evidence(wordnet: NounGraph) -> None:
    made = decide(
        [Named("names", "1", "seal"), Named("names", "2", "animal")],
        wordnet,
        policy="first_sense",
        parents={("names", "1"): ("2",)},
    )
    assert made[0].evidence == ("first of 9 senses",)
