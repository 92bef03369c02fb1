"""Laws of decisions, on any mixture of categories."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.labels import FOUND, METHODS, RELATIONS, Decision, Named, decide
from mlimg_build.wordnet import load

GRAPH = load()
WORDS = ("crane", "Crane (bird)", "mouse", "seals", "turkey", "hot dog", "carrot cake", "cake", "shoe")
NAMES = (
    *WORDS,
    "blue shoe",
    "bottle of wine",
    "bottle",
    "quidditch quaffle",
    "plant",
    "Arm",
    "human body",
    "",
)
IDS = ("n02012849", "n03126707", "n02084071", "n07628870", "n00015388", None, None, None)
KEYS = [(source, str(number)) for source in ("one", "two") for number in range(5)]

categories = st.lists(
    st.builds(lambda key, name, wnid: Named(*key, name, wnid), *map(st.sampled_from, (KEYS, NAMES, IDS))),
    max_size=8,
    unique_by=lambda named: (named.source, named.id),
)
nested = st.dictionaries(st.sampled_from(KEYS), st.lists(st.sampled_from("01234"), max_size=2), max_size=4)
together = st.dictionaries(
    st.sampled_from(KEYS),
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 9)), max_size=3, unique_by=lambda pair: pair[0]),
    max_size=4,
)
reviews = st.dictionaries(
    st.sampled_from(KEYS), st.sampled_from([wnid for wnid in IDS if wnid] + [None]), max_size=3
)
few = settings(max_examples=12, deadline=None)


@few
@given(categories, nested, together, st.randoms())
def test_the_order_of_categories_changes_nothing(given_, parents, colabels, random) -> None:
    shuffled = random.sample(given_, len(given_))
    made = decide(given_, GRAPH, parents=parents, colabels=colabels)
    again = decide(shuffled, GRAPH, parents=parents, colabels=colabels)
    assert by_key(made) == by_key(again)
    assert [(one.source, one.id) for one in again] == [(one.source, one.id) for one in shuffled]


@few
@given(categories, nested, together, reviews)
def test_what_people_chose_wins_over_everything(given_, parents, colabels, reviewed) -> None:
    made = decide(given_, GRAPH, reviewed=reviewed, parents=parents, colabels=colabels)
    for one in made:
        if (one.source, one.id) in reviewed:
            assert (one.wnid, one.method, one.score) == (reviewed[one.source, one.id], "file", 1.0)


@few
@given(categories, st.lists(st.sampled_from(NAMES), max_size=4))
def test_another_source_changes_no_decision_by_id(given_, names) -> None:
    more = [Named("third", str(i), name) for i, name in enumerate(names)]
    before = [one for one in decide(given_, GRAPH) if one.method == "same_id"]
    after = [one for one in decide([*more, *given_], GRAPH) if one.method == "same_id"]
    assert before == after


@few
@given(
    st.sampled_from(["blue", "gala", "finnish", "xyzzy"]), st.sampled_from(["shoe", "cake", "crane", "seal"])
)
def test_a_kind_goes_where_its_head_would_go(word: str, head: str) -> None:
    (kind,), (itself,) = (decide([Named("one", "0", name)], GRAPH) for name in (f"{word} {head}", head))
    if kind.relation == "is_a":
        assert kind.wnid == itself.wnid
        assert itself.relation == "same_as"


@few
@given(categories, nested, together, st.booleans())
def test_a_decision_is_whole(given_, parents, colabels, synonyms) -> None:
    for one in decide(given_, GRAPH, parents=parents, colabels=colabels, synonyms=synonyms):
        assert one.method in METHODS
        assert one.relation in RELATIONS
        assert 0 <= one.score <= 1
        assert one.evidence
        assert (one.wnid is None) == (one.method == "unresolved")
        assert (one.method == "head") == (one.relation == "is_a")
        assert one.wnid not in [other.wnid for other in one.alternatives]
        if one.method == "unresolved":
            assert all(other.near for other in one.alternatives)
        elif one.method not in FOUND:
            assert not one.alternatives
        if not synonyms:
            assert one.method != "synonym"


@few
@given(categories)
def test_without_synonyms_a_source_of_ids_changes_nothing(given_) -> None:
    ids = [Named("third", wnid, "", wnid) for wnid in IDS if wnid]
    before = decide(given_, GRAPH, synonyms=False)
    assert decide([*given_, *ids], GRAPH, synonyms=False)[: len(given_)] == before


def by_key(made: list[Decision]) -> dict[tuple[str, str], Decision]:
    return {(one.source, one.id): one for one in made}
