"""What the shipped file says about WordNet 3.0, held against facts from elsewhere."""

import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mlimg_build.wordnet as wordnet_package
from mlimg_build.errors import WordNetError
from mlimg_build.wordnet import RELATIONS, NounGraph, load
from mlimg_build.wordnet.storage import SHIPPED

DOG, DOMESTIC_ANIMAL, ENTITY = "n02084071", "n01317541", "n00001740"


def fastest(action: Callable[[], object], times: int = 3) -> float:
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_wordnet_3_0_has_82115_noun_synsets(wordnet: NounGraph) -> None:
    assert (wordnet.release, len(wordnet)) == ("3.0", 82_115)


def test_published_digest_of_the_nouns_does_not_change(wordnet: NounGraph) -> None:
    assert wordnet.digest == "654665a20be3d64995941f3951e8dce20a392b428265e324e67c3b607d1bb331"


def test_relations_have_the_edges_that_wordnet_counts(wordnet: NounGraph) -> None:
    counts = {relation: wordnet.edges(relation).nnz for relation in RELATIONS}
    assert counts == {
        "hypernym": 75_850,
        "instance_hypernym": 8_577,
        "part_holonym": 9_097,
        "member_holonym": 12_293,
        "substance_holonym": 797,
    }


def test_published_categories_exist_under_the_same_names(
    wordnet: NounGraph, published: list[tuple[str, str]]
) -> None:
    assert len(published) == 11_166
    for wnid, names in published:
        assert ", ".join(wordnet.lemmas(wnid)).replace("_", " ") == names


def test_hierarchy_over_the_published_categories_implies_88196_pairs(
    wordnet: NounGraph, published: list[tuple[str, str]]
) -> None:
    chosen = wordnet.indices([wnid for wnid, _ in published])
    assert (chosen >= 0).all()
    assert wordnet.closure()[chosen][:, chosen].nnz == 88_196


def test_dog_is_a_domestic_animal(wordnet: NounGraph) -> None:
    ancestors = wordnet.ancestors(DOG)
    assert ancestors[:2] == (DOMESTIC_ANIMAL, "n02083346")
    assert ancestors[-1] == ENTITY
    assert DOG in wordnet.descendants(DOMESTIC_ANIMAL)


def test_ancestors_and_descendants_are_the_rows_and_columns_of_the_closure(wordnet: NounGraph) -> None:
    closure, dog = wordnet.closure(), wordnet.index(DOG)
    names = np.array(wordnet.wnids)
    assert sorted(wordnet.ancestors(DOG)) == names[closure[[dog]].indices].tolist()
    assert sorted(wordnet.descendants(DOG)) == names[closure.tocsc()[:, [dog]].indices].tolist()


def test_everything_is_an_entity(wordnet: NounGraph) -> None:
    column = wordnet.closure()[:, [wordnet.index(ENTITY)]]
    assert column.nnz == len(wordnet) - 1


def test_closure_is_sorted_and_strict(wordnet: NounGraph) -> None:
    closure = wordnet.closure()
    assert closure.dtype == np.bool_
    assert closure.has_sorted_indices
    assert closure.nnz == 743_241
    assert not closure.diagonal().any()


def test_apple_is_part_of_an_apple_tree_only_as_a_holonym(wordnet: NounGraph) -> None:
    apple, tree = "n07739125", "n12633994"
    assert tree in wordnet.ancestors(apple, ("part_holonym",))
    assert tree not in wordnet.ancestors(apple)


def test_instances_have_their_class_as_parent(wordnet: NounGraph) -> None:
    assert wordnet.name(wordnet.ancestors(wordnet.senses("Paris")[0])[0]) == "national capital"
    assert not wordnet.ancestors(wordnet.senses("Paris")[0], ("hypernym",))


def test_extra_edges_take_part_in_the_closure(wordnet: NounGraph) -> None:
    street_sign, signal = "n06794110", "n06791372"
    row, column = wordnet.index(street_sign), wordnet.index(signal)
    assert not wordnet.closure()[row, column]
    with_extra = wordnet.closure(extra=[(street_sign, signal)])
    above = wordnet.indices(wordnet.ancestors(signal))
    assert with_extra[row, column]
    assert with_extra[[row]][:, above].nnz == len(above)


@pytest.mark.parametrize(
    ("lemma", "senses"),
    [
        ("dog", "n02084071 n10114209 n10023039 n09886220 n07676602 n03901548 n02710044"),
        ("crane", "n10914447 n10914331 n09295455 n03126707 n02012849"),
        ("Guinea pig", "n10668666 n02364673"),
        ("'hood", "n08641944"),
        ("zymurgy", "n06080361"),
        ("dogs", ""),
        ("no such word", ""),
        ("", ""),
        ("~~~", ""),
    ],
)
def test_senses_come_in_wordnet_order(wordnet: NounGraph, lemma: str, senses: str) -> None:
    assert wordnet.senses(lemma) == tuple(senses.split())


def test_every_lemma_leads_back_to_its_synset(wordnet: NounGraph) -> None:
    for wnid in wordnet.wnids[::97]:
        assert all(wnid in wordnet.senses(lemma) for lemma in wordnet.lemmas(wnid))


def test_synset_tells_its_names_and_file(wordnet: NounGraph) -> None:
    assert wordnet.lemmas(DOG) == ("dog", "domestic_dog", "Canis_familiaris")
    assert wordnet.name("n01317541") == "domestic animal"
    assert wordnet.lexname(DOG) == "noun.animal"
    assert wordnet.lexname(ENTITY) == "noun.Tops"


@pytest.mark.parametrize(
    ("word", "bases"),
    [
        ("geese", "goose"),
        ("wolves", "wolf"),
        ("mice", "mouse"),
        ("axes", "ax axis"),
        ("dogs", "dog"),
        ("Guinea Pigs", "guinea_pig"),
        ("churches", "church"),
        ("firemen", "fireman"),
        ("berries", "berry"),
        ("cupsful", "cupful"),
        ("dog", "dog"),
        ("glass", "glass"),
        ("glasses", "glasses glass"),
        ("no such word", ""),
        ("", ""),
    ],
)
def test_morphy_gives_the_lemmas_that_a_word_may_come_from(wordnet: NounGraph, word: str, bases: str) -> None:
    assert wordnet.morphy(word) == tuple(bases.split())


def test_ids_and_positions_are_one_to_one(wordnet: NounGraph) -> None:
    wnids = wordnet.wnids
    assert wnids == sorted(wnids)
    assert wordnet.indices(wnids).tolist() == list(range(len(wordnet)))
    assert wordnet.indices(wnids).dtype == np.int32
    assert [wordnet.index(wnid) for wnid in wnids[::997]] == list(range(0, len(wnids), 997))
    assert wordnet.wnid(0) == ENTITY


def test_indices_marks_what_does_not_exist(wordnet: NounGraph) -> None:
    wnids = [
        DOG,
        "n02084072",
        "n99999999",
        "n00000000",
        "dog",
        "",
        "n020840710",
        "v02084071",
        "n\u0660\u0662\u0660\u0668\u0664\u0660\u0667\u0661",
    ]
    assert wordnet.indices(wnids).tolist() == [wordnet.index(DOG)] + [-1] * 8
    assert wordnet.indices([]).shape == (0,)
    assert [wnid in wordnet for wnid in wnids] == [True] + [False] * 8


def test_position_outside_the_graph_is_an_index_error(wordnet: NounGraph) -> None:
    for index in (-1, len(wordnet)):
        with pytest.raises(IndexError):
            wordnet.wnid(index)


def test_unknown_synset_names_the_nearest(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as caught:
        wordnet.index("n02084072")
    assert str(caught.value) == (
        "error[unknown-synset]: WordNet 3.0 has no noun synset n02084072\n"
        "hint: an id belongs to one release; the nearest in this one is n02084071 (dog)"
    )


@pytest.mark.parametrize("wnid", ["dog", "02084071", "v02084071", "n2084071", "n02084071 ", ""])
def test_malformed_id_is_told_from_an_unknown_one(wordnet: NounGraph, wnid: str) -> None:
    with pytest.raises(WordNetError) as caught:
        wordnet.lemmas(wnid)
    assert caught.value.code == "bad-wnid"
    assert repr(wnid) in str(caught.value)


def test_unknown_relation_lists_the_relations(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError, match="hypernym, instance_hypernym, part_holonym") as caught:
        wordnet.edges("hyponym")
    assert caught.value.code == "unknown-relation"


def test_cycle_error_shows_the_path_by_names_ids_and_relations(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError) as caught:
        wordnet.closure(extra=[("n02083346", DOG)])
    assert str(caught.value) == (
        "error[cycle]: The hierarchy has a cycle: "
        "canine (n02083346) -extra-> dog (n02084071) -hypernym-> canine (n02083346)\n"
        "hint: leave out one of the edges that the path shows"
    )


def test_holonyms_and_hypernyms_together_have_a_cycle(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError, match=r"\(n03273061\) -part_holonym-> self-starter") as caught:
        wordnet.closure(RELATIONS)
    assert caught.value.code == "cycle"


def test_synset_above_itself_is_a_cycle(wordnet: NounGraph) -> None:
    with pytest.raises(WordNetError, match=r"dog \(n02084071\) -extra-> dog \(n02084071\)"):
        wordnet.closure(extra=[(DOG, DOG)])


def test_graph_survives_the_way_to_a_worker(wordnet: NounGraph) -> None:
    copy = pickle.loads(pickle.dumps(wordnet))
    assert copy == wordnet
    assert hash(copy) == hash(wordnet)
    assert copy.senses("dog") == wordnet.senses("dog")


def test_columns_cannot_be_written(wordnet: NounGraph) -> None:
    with pytest.raises(ValueError, match="read-only"):
        wordnet.content.offsets[0] = 1


def test_edges_handed_out_are_a_copy(wordnet: NounGraph) -> None:
    edges = wordnet.edges("hypernym")
    edges.indices[:] = 0
    assert wordnet.edges("hypernym").indices.any()


def test_shipped_file_loads_in_under_300_ms(wordnet: NounGraph) -> None:
    shipped = (
        Path(wordnet_package.__file__).parent / SHIPPED
    )  # by its path, as what has no path is loaded once
    assert fastest(lambda: load(shipped)) < 0.3


def test_the_shipped_file_is_loaded_once_and_nobody_can_change_it() -> None:
    assert load() is load()
    with pytest.raises(ValueError, match="read-only"):
        load().content.offsets[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        load().closure().indices[0] = 1


def test_closure_of_all_nouns_takes_under_a_second(wordnet: NounGraph) -> None:
    others = iter(["n02083346", DOG, DOMESTIC_ANIMAL])  # one that was asked for before is only looked up
    assert fastest(lambda: wordnet.closure(extra=[(next(others), ENTITY)])) < 1
