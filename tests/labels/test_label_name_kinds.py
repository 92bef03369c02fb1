"""What is no name is no noun: numbers, truth values, words for a missing value; ids at the head of a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlimg_build.labels import Named, decide, spellings
from mlimg_build.labels.mapping.name_kinds import name_kind, names_of_splits
from mlimg_build.labels.mapping.spelling import variants
from mlimg_build.missing_values import NO_VALUE
from mlimg_build.sources.synset_names import leading_wnid
from mlimg_build.wordnet import NounGraph

NAAN, SODIUM = "n07684289", "n14655371"


@pytest.mark.parametrize(
    "text",
    [
        *("3", "3.0", "1.0", "10.0", "1.5", "-1", "+7", "1e5", ".5", "1,000", "50%", "inf", "٣", "\uff11"),
        *("1-5", "2-3", "1-0", "60+", "<5", "(25, 32)", "18 to 24", "II", "vii", "'3'", "3-", "①", "1²"),
    ],
)
def test_a_number_is_no_noun(text: str, wordnet: NounGraph) -> None:
    (made,) = decide([Named("t", text, "")], wordnet)
    assert (made.wnid, made.method, made.evidence) == (None, "unresolved", ("a number, no name",))


@pytest.mark.parametrize(
    "text", ["NaN", "NA", "N/A", "n.a.", "None", "null", "NIL", "-", "?", " nan ", "<NA>"]
)
def test_a_word_for_a_missing_value_is_no_noun(text: str, wordnet: NounGraph) -> None:
    (made,) = decide([Named("t", text, "")], wordnet)
    assert (made.wnid, made.evidence) == (None, ("a word for a missing value, no name",))


@pytest.mark.parametrize("text", ["na-", "NaN (missing)", "[none]"])
def test_a_form_of_a_name_that_is_no_name_is_not_looked_up(text: str, wordnet: NounGraph) -> None:
    assert decide([Named("t", text, "")], wordnet)[0].wnid is None


@pytest.mark.parametrize("text", ["True", "false", "TRUE", "yes", "No"])
def test_a_truth_value_is_no_noun(text: str, wordnet: NounGraph) -> None:
    assert decide([Named("t", text, "")], wordnet)[0].wnid is None


def test_a_person_may_decide_that_it_is_one(wordnet: NounGraph) -> None:
    made = decide([Named("t", "NaN", ""), Named("t", "NA", "")], wordnet, reviewed={("t", "NaN"): NAAN})
    assert [(one.wnid, one.method) for one in made] == [(NAAN, "file"), (None, "unresolved")]


def test_the_source_s_own_name_of_a_number_counts(wordnet: NounGraph) -> None:
    assert decide([Named("t", "3", "tench")], wordnet)[0].wnid == "n01440764"


@pytest.mark.parametrize(
    "text", ["tench", "salt", "sodium", "7 up", "a380", "t-shirt", "one", "Nan bread", "9-iron"]
)
def test_what_may_be_a_name_is_looked_up(text: str) -> None:
    assert name_kind(text) == ""


@given(st.floats() | st.integers() | st.decimals(allow_nan=False))
def test_whatever_python_writes_as_a_number_is_none(number: object) -> None:
    assert name_kind(str(number)) in ("number", "no_value")


@given(st.sampled_from(sorted(NO_VALUE)), st.sampled_from([str.upper, str.lower, str.title]), st.booleans())
def test_case_and_space_make_no_value_of_nothing(word: str, change: object, spaced: bool) -> None:
    text = change(word)  # type: ignore[operator]
    assert name_kind(f" {text}\t" if spaced else text) == "no_value"


@given(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}( [a-z]{3,6})?", fullmatch=True))
def test_a_dot_between_digits_is_never_dropped(name: str) -> None:
    joined = name.split(maxsplit=1)[0].replace(".", "")
    assert all(joined not in form.split() for form in (*spellings(name), *variants(name)))


@pytest.mark.parametrize(
    ("text", "wnid"),
    [
        ("n01440764", "n01440764"),
        ("n01440764_tench", "n01440764"),
        ("n01440764-tench", "n01440764"),
        ("n01440764 tench, Tinca tinca", "n01440764"),
        (" n01440764 ", "n01440764"),
        ("n01440764x", None),
        ("n014407641", None),
        ("tench_n01440764", None),
    ],
)
def test_an_id_at_the_head_of_a_name_is_read(text: str, wnid: str | None) -> None:
    assert leading_wnid(text) == wnid


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train", "val"], True),
        (["Training", "Validation", "Test"], True),
        (["train2017", "val2017"], True),
        (["images"], True),
        (["train", "test", "annotations"], True),
        (["train", "bus", "car"], False),
        (["test", "control"], False),
        (["cat", "dog"], False),
        ([], False),
    ],
)
def test_folders_that_are_splits(names: list[str], splits: bool) -> None:
    assert names_of_splits(names) is splits
