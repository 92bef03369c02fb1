"""What the lint finds, on the published categories and on a few of WordNet's."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.labels import (
    KINDS,
    Finding,
    Hierarchy,
    from_graph,
    from_pairs,
    lint,
    shared_images,
    tree_by_rule,
)
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Published, order_of, vocabularies

ANIMAL, DOMESTIC, CANINE, DOG, CORGI = "n00015388", "n01317541", "n02083346", "n02084071", "n02112826"
PERSON, WORKER, SIGNAL = "n00007846", "n09632518", "n06791372"
BIRD, MACHINE = "n02012849", "n03126707"


def of(kind: str, findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def messages(kind: str, findings: Sequence[Finding]) -> list[str]:
    return [finding.message for finding in of(kind, findings)]


def test_the_losses_of_the_published_tree_are_listed_where_they_begin(
    published: Published, wordnet: NounGraph
) -> None:
    found = lint(wordnet, published.wnids, published.tree, dag=published.dag)
    counted = Counter(finding.kind for finding in found)
    assert counted == {
        "parent-lost": 1_107,
        "parent-added": 6,
        "homonym": 1_486,
        "person": 749,
        "abstract": 15,
        "general": 6,
    }
    assert sum(finding.count for finding in of("parent-lost", found)) == 4_849
    assert sum(finding.count for finding in of("parent-added", found)) == 75
    (dog,) = (finding for finding in of("parent-lost", found) if finding.wnid == DOG)
    assert (dog.related, dog.count) == ((DOMESTIC,), 166)
    assert dog.message == "dog is not under domestic animal in the tree, nor are 165 categories below it"


def test_the_dag_of_wordnet_loses_nothing(published: Published, wordnet: NounGraph) -> None:
    found = lint(wordnet, published.wnids, published.dag, dag=published.dag)
    assert not of("parent-lost", found) + of("parent-added", found)


def test_the_published_categories_take_less_than_two_seconds_of_the_processor(
    published: Published, wordnet: NounGraph
) -> None:
    positives = np.asarray((published.tree.hops > 0).sum(axis=0)).ravel()
    taken = []
    for _ in range(3):
        begin = time.process_time()
        lint(wordnet, published.wnids, published.tree, positives=positives, dag=published.dag)
        taken.append(time.process_time() - begin)
    assert min(taken) < 2


def test_a_loss_names_only_the_nearest_of_the_ancestors_lost(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, DOMESTIC, DOG, CORGI]
    stranded = from_pairs(wnids, [(DOMESTIC, ANIMAL), (CORGI, DOG)])
    found = lint(wordnet, wnids, stranded, dag=from_graph(wordnet, wnids))
    (lost,) = of("parent-lost", found)
    assert (lost.wnid, lost.related, lost.count) == (DOG, (DOMESTIC,), 4)
    assert lost.message == "dog is not under domestic animal in the tree, nor is 1 category below it"


def test_what_a_file_adds_is_said(wordnet: NounGraph) -> None:
    wnids = [MACHINE, DOG, CORGI]
    tree = from_pairs(wnids, [(DOG, MACHINE), (CORGI, DOG)])
    (added,) = of("parent-added", lint(wordnet, wnids, tree, dag=from_graph(wordnet, wnids)))
    assert (added.wnid, added.related, added.count) == (DOG, (MACHINE,), 2)
    assert added.message == "dog is under crane, which WordNet does not say, and so is 1 category below it"


def test_categories_that_share_a_lemma_are_listed_once_with_what_they_are(wordnet: NounGraph) -> None:
    wnids = [MACHINE, DOG, BIRD]
    (homonym,) = of("homonym", lint(wordnet, wnids, from_graph(wordnet, wnids)))
    assert (homonym.wnid, homonym.related, homonym.count) == (BIRD, (MACHINE,), 2)
    assert homonym.message == '"crane" may mean crane (wading bird) and crane (lifting device)'


def test_several_lemmas_in_common_are_one_finding(wordnet: NounGraph) -> None:
    wnids = ["n11695599", "n07762114"]
    (homonym,) = of("homonym", lint(wordnet, wnids, from_graph(wordnet, wnids)))
    assert homonym.message == '"papaw" and "pawpaw" may mean papaw (edible fruit) and pawpaw (custard apple)'


def test_people_are_listed_with_their_images_first_the_most(wordnet: NounGraph) -> None:
    wnids = [WORKER, DOG, PERSON]
    found = lint(wordnet, wnids, from_graph(wordnet, wnids), positives=np.array([3, 9, 5]))
    assert [(finding.wnid, finding.count) for finding in of("person", found)] == [(PERSON, 5), (WORKER, 3)]
    assert messages("person", found)[1] == "worker is a category of people"


def test_people_need_no_category_person(wordnet: NounGraph) -> None:
    assert [
        finding.wnid for finding in of("person", lint(wordnet, [WORKER], from_graph(wordnet, [WORKER])))
    ] == [WORKER]


def test_what_is_an_abstraction_and_physical_too_is_not_abstract(wordnet: NounGraph) -> None:
    substance = "n00019613"  # both matter and a part, which is a relation
    wnids = [SIGNAL, substance, DOG]
    found = lint(wordnet, wnids, from_graph(wordnet, wnids))
    assert messages("abstract", found) == ["signal is an abstraction in WordNet and nothing physical"]


def test_an_empty_category_is_counted_with_the_empty_ones_below(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, CANINE, DOG, BIRD]
    found = lint(wordnet, wnids, from_graph(wordnet, wnids), positives=np.array([1, 0, 0, 1]))
    assert [(finding.wnid, finding.count) for finding in of("empty", found)] == [(CANINE, 2), (DOG, 1)]
    assert messages("empty", found) == [
        "canine has no image, nor has 1 category below it",
        "dog has no image",
    ]


def test_an_empty_category_says_how_many_images_are_known_not_to_show_it(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, CANINE, DOG, BIRD]
    made = from_graph(wordnet, wnids)
    found = lint(wordnet, wnids, made, positives=np.array([1, 0, 0, 0]), negatives=np.array([9, 1, 1200, 0]))
    assert messages("empty", found) == [
        "no image shows canine (1 is known not to), nor 1 category below it",
        "crane has no image",
        "no image shows dog (1,200 are known not to)",
    ]


def test_a_category_with_all_images_of_its_parent_is_found(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, CANINE, DOG]
    found = lint(wordnet, wnids, from_graph(wordnet, wnids), positives=np.array([7, 4, 4]))
    (same,) = of("same-as-parent", found)
    assert (same.wnid, same.related, same.count) == (DOG, (CANINE,), 4)
    assert same.message == "dog has exactly the images of canine"


def test_categories_without_images_are_not_the_same(wordnet: NounGraph) -> None:
    wnids = [CANINE, DOG]
    found = lint(wordnet, wnids, from_graph(wordnet, wnids), positives=np.array([0, 0]))
    assert not of("same-as-parent", found)


def test_equal_counts_of_other_images_are_not_the_same(wordnet: NounGraph) -> None:
    """Where presence implies no ancestors, an image of a dog need not be one of a canine."""
    wnids, positives = [CANINE, DOG], np.array([2, 2])
    hierarchy = from_graph(wordnet, wnids)
    apart = shared_images(hierarchy, np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1]))
    alike = shared_images(hierarchy, np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]))
    assert (apart.tolist(), alike.tolist()) == ([1], [2])
    assert not of("same-as-parent", lint(wordnet, wnids, hierarchy, positives=positives, shared=apart))
    assert of("same-as-parent", lint(wordnet, wnids, hierarchy, positives=positives, shared=alike))


def test_counts_that_no_implied_ancestor_explains_need_shared_images(wordnet: NounGraph) -> None:
    wnids = [CANINE, DOG]
    with pytest.raises(ValueError, match="presence does not imply every ancestor here"):
        lint(wordnet, wnids, from_graph(wordnet, wnids), positives=np.array([1, 2]))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"positives": np.array([1])}, "positives"),
        ({"names": ["canine"]}, "names"),
        ({"dag": from_pairs([DOG], [])}, "dag"),
        ({"positives": np.array([1, 1]), "shared": np.array([1, 1])}, "1 edges"),
    ],
)
def test_columns_of_other_lengths_are_refused(
    given: dict[str, object], says: str, wordnet: NounGraph
) -> None:
    wnids = [CANINE, DOG]
    with pytest.raises(ValueError, match=says):
        lint(wordnet, wnids, from_graph(wordnet, wnids), **given)


def test_findings_use_the_names_given(wordnet: NounGraph) -> None:
    found = lint(wordnet, [WORKER], from_graph(wordnet, [WORKER]), names=["a person at work"])
    assert messages("person", found) == ["a person at work is a category of people"]


def test_of_no_category_nothing_is_found(wordnet: NounGraph) -> None:
    nothing = from_graph(wordnet, [])
    assert lint(wordnet, [], nothing, positives=np.array([], dtype=np.int64), dag=nothing) == ()


@pytest.mark.slow
@given(data=st.data())
@settings(deadline=None)
def test_findings_are_sorted_and_do_not_depend_on_the_order_of_categories(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    chosen = data.draw(vocabularies(above))
    wnids = [wordnet.wnid(i) for i in chosen]
    images = dict(
        zip(
            wnids,
            data.draw(st.lists(st.integers(0, 2), min_size=len(wnids), max_size=len(wnids))),
            strict=True,
        )
    )

    def found(order: Sequence[str]) -> tuple[Finding, ...]:
        tree = tree_by_rule(wordnet, order)
        stated = np.array([images[wnid] for wnid in order])
        dag = order_of([wordnet.index(wnid) for wnid in order], wordnet, above)
        findings = lint(wordnet, order, tree, positives=stated + (tree.down > 0) @ stated, dag=dag)
        assert [*findings] == sorted(findings, key=lambda one: ([*KINDS].index(one.kind), -one.count))
        return findings

    assert found(data.draw(st.permutations(wnids))) == found(wnids)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_shared_images_are_those_of_both_and_blocks_add_up(
    data: st.DataObject, wordnet: NounGraph, above: list[set[int]]
) -> None:
    hierarchy = order_of(data.draw(vocabularies(above)), wordnet, above)
    pair = st.tuples(st.integers(0, 4), st.integers(0, len(hierarchy) - 1))
    carried = data.draw(st.lists(pair, max_size=40, unique=True))

    def count(some: Sequence[tuple[int, int]]) -> list[int]:
        columns = np.array(some, dtype=np.int64).reshape(-1, 2)
        return shared_images(hierarchy, columns[:, 0], columns[:, 1]).tolist()

    images = [{image for image, category in carried if category == i} for i in range(len(hierarchy))]
    assert count(carried) == [len(images[child] & images[parent]) for child, parent in edges(hierarchy)]
    early, late = (count([entry for entry in carried if (entry[0] < 2) == first]) for first in (True, False))
    assert [sum(both) for both in zip(early, late, strict=True)] == count(carried)


def edges(hierarchy: Hierarchy) -> list[tuple[int, int]]:
    return list(zip(*(ends.tolist() for ends in hierarchy.parents.nonzero()), strict=True))


def test_what_is_nearly_at_the_top_of_wordnet_says_nothing(wordnet: NounGraph) -> None:
    names = {
        **{
            "n00001740": "entity",
            "n00001930": "physical entity",
            "n00002684": "object",
            "n00003553": "whole",
        },
        **{"n00020827": "matter", "n00007846": "person", "n00015388": "animal", "n00002137": "abstraction"},
    }
    wnids = sorted(names)
    assert {wordnet.name(wnid) for wnid in wnids} == {*names.values()}
    found = lint(wordnet, wnids, from_graph(wordnet, wnids))
    assert {names[one.wnid] for one in of("general", found)} == {
        *("entity", "physical entity", "object", "whole", "matter")
    }
    assert [names[one.wnid] for one in of("abstract", found)] == ["abstraction"], "found once"
    assert "whole is nearly at the top of WordNet, with 31,542 synsets below it" in messages("general", found)


def test_what_nearly_every_image_shows_is_said(wordnet: NounGraph) -> None:
    wnids = [ANIMAL, DOG]
    hierarchy = from_graph(wordnet, wnids)

    def everywhere(positives: list[int], images: int) -> list[str]:
        return messages(
            "everywhere", lint(wordnet, wnids, hierarchy, positives=np.array(positives), images=images)
        )

    assert everywhere([96, 95], 100) == ["animal is in 96.0 % of the images"]
    assert everywhere([10, 10], 10) == [], "of a handful nothing is said"
    assert everywhere([96, 95], 0) == [], "nor where nobody knows how many there are"
