"""Names written for WordNet ids: the spec is the one with the ids, and what is not certain is an error with the ids."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mlimg_build.errors import SpecError
from mlimg_build.spec import LoadedSpec, parse_spec

SPEC = """\
mlimg: 1
name: trial
version: 1.0.0
sources:
  photos: {{type: folder, images: photos}}
vocabulary: {vocabulary}
"""
NAMED = (
    "{include: [Labrador retriever, labrador.n.01], exclude_below: [german_shepherd], collapse: [GIRAFFES],"
    " join: {animal: [cat.n.01, n02084071]}}"
)
WITH_IDS = (
    "{include: [n02099712, n08819883], exclude_below: [n02106662], collapse: [n02439033],"
    " join: {n00015388: [n02121620, n02084071]}}"
)


def parsed(vocabulary: str, folder: Path = Path()) -> LoadedSpec:
    return parse_spec(SPEC.format(vocabulary=vocabulary), "trial.yaml", folder, {})


def test_a_spec_with_names_is_the_spec_with_the_ids() -> None:
    named, with_ids = parsed(NAMED), parsed(WITH_IDS)
    assert named.spec == with_ids.spec
    assert named.digest == with_ids.digest, "the key"


def test_the_place_of_a_name_is_where_it_is_written() -> None:
    loaded = parsed(NAMED)
    line = loaded.text.splitlines()[5]
    place = loaded.place("vocabulary", "join", "n00015388", 0)
    assert line[place.column - 1 :].startswith("cat.n.01")
    assert line[loaded.place("vocabulary", "include", 1).column - 1 :].startswith("labrador.n.01")


def test_exclude_dog_gives_the_id_to_use() -> None:
    with pytest.raises(SpecError) as caught:
        parsed("{exclude: [dog]}")
    (problem,) = caught.value.problems
    assert problem.code == "ambiguous-name"
    assert "'dog' has 7 senses" in problem.message
    assert "dog.n.01 n02084071 dog, domestic dog" in (problem.hint or "")


def test_a_name_that_is_no_noun_gives_those_that_are_spelt_nearly_so() -> None:
    with pytest.raises(SpecError) as caught:
        parsed("{exclude: [hampster]}")
    (problem,) = caught.value.problems
    assert problem.code == "no-noun"
    assert "n02342885 hamster" in (problem.hint or "")


def test_the_senses_of_a_near_spelling_are_all_there_and_more_are_counted() -> None:
    with pytest.raises(SpecError) as caught:
        parsed("{exclude: [kiet]}")
    hint = caught.value.problems[0].hint or ""
    assert "n03621473 kite: a kind of plaything" in hint
    assert "n01608432 kite: a kind of hawk" in hint
    with pytest.raises(SpecError) as caught:
        parsed("{exclude: [headx]}")
    assert "and 29 more of 'head', which `mlimg synset head` shows" in (caught.value.problems[0].hint or "")


def test_two_names_of_one_key_are_an_error() -> None:
    with pytest.raises(SpecError) as caught:
        parsed("{join: {animal: [cat.n.01], n00015388: [n02084071]}}")
    assert [problem.code for problem in caught.value.problems] == ["bad-join"]


def test_what_was_meant_to_be_an_id_is_told_what_an_id_is() -> None:
    with pytest.raises(SpecError) as caught:
        parsed("{exclude: [N02084071]}")
    assert [problem.code for problem in caught.value.problems] == ["bad-wnid"]


def test_the_names_are_those_of_the_release_that_the_spec_asks_for(tmp_path: Path) -> None:
    text = SPEC.format(vocabulary="{exclude: [animal]}") + "wordnet:\n  path: ${WN}.npz\n"
    with pytest.raises(SpecError) as caught:
        parse_spec(text, "trial.yaml", tmp_path, {"WN": "mine"})
    (problem,) = caught.value.problems
    assert problem.code == "wordnet-missing"
    assert problem.place is not None
    assert problem.place.line == 8


def test_thousands_of_misspelt_names_are_refused_in_seconds() -> None:
    names = ", ".join(f"hampste{chr(97 + i % 26)}{'x' * (i % 30)}" for i in range(3000))
    with pytest.raises(SpecError) as caught:
        parsed(f"{{exclude: [{names}]}}")
    assert len(caught.value.problems) == 101
    assert "2,900 more" in caught.value.problems[-1].message


def test_a_spec_of_ids_loads_no_wordnet() -> None:
    code = f"""
import sys
from pathlib import Path
from mlimg_build.spec import parse_spec
parse_spec({SPEC.format(vocabulary=WITH_IDS)!r}, "trial.yaml", Path(), {{}})
sys.exit("numpy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_name_is_first_that_of_an_own_category() -> None:
    own = (
        "own: {zebra: {}, striped_one: {name: the Stripes}, dog: {below: giraffe}, giraffe: {below: giraffe}}"
    )
    named = parsed(f"{{{own}, exclude: [Zebra, the-stripes], join: {{zebra: [dog]}}}}").spec.vocabulary
    assert named.exclude == ("own:zebra", "own:striped_one")
    assert named.join == {"own:zebra": ("own:dog",)}
    assert isinstance(named.own, dict)
    assert named.own["dog"].below == ("own:giraffe",)
    assert named.own["giraffe"].below == ("n02439033",), "nothing lies below itself: it is the noun"


@pytest.mark.parametrize("field", ["include: [zebra]", "exclude: [zebra]", "join: {zebra: [own:giraffe]}"])
def test_a_flat_vocabulary_has_ids_and_no_nouns(field: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(f"{{kind: flat, {field}}}")
    (problem,) = caught.value.problems
    assert problem.code == "bad-wnid"
    assert "flat vocabulary" in problem.message
    assert "write own:zebra" in (problem.hint or "")
