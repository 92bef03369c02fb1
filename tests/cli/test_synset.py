"""`mlimg synset`: what a name may mean, what is above and below it, and how many images of a spec it has."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import mlimg
from tests.support.photographs import crops

DOG, CRANE_BIRD = "n02084071", "n02012849"


def told(*arguments: object, cwd: Path | None = None) -> dict:  # type: ignore[type-arg]
    done = mlimg("synset", *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_name_has_its_senses_each_with_every_way_up_and_its_children() -> None:
    found = told("dog")
    first, *others = found["synsets"]
    assert (first["wnid"], first["as"], first["file"]) == (DOG, "as written", "noun.animal")
    assert first["names"] == ["dog", "domestic dog", "Canis familiaris"]
    assert [chain[0]["name"] for chain in first["chains"]] == ["domestic animal", "canine"]
    assert all(chain[-1]["name"] == "entity" for chain in first["chains"])
    assert "puppy" in {child["name"] for child in first["children"]}
    assert len(others) == 6
    assert first["gloss"].startswith("a member of the genus Canis")
    assert others[0]["gloss"] != first["gloss"]
    assert first["score"] > max(one["score"] for one in others)


def test_words_are_one_name_and_an_id_has_the_other_senses_of_its_names() -> None:
    assert told("traffic", "light")["synsets"][0]["names"][0] == "traffic light"
    found = told(CRANE_BIRD)
    assert [one["wnid"] for one in found["synsets"]] == [CRANE_BIRD]
    (machine,) = [one for one in found["others"] if one["wnid"] == "n03126707"]
    assert machine["gloss"].startswith("lifts and moves heavy objects")


def test_a_misspelt_name_is_an_error_that_lists_near_spellings_with_their_ids() -> None:
    done = mlimg("synset", "hampster")
    assert done.returncode == 1
    assert "no noun called 'hampster'" in done.stderr
    assert "n02342885 hamster (a kind of rodent)" in done.stderr
    done = mlimg("synset", "hampster", "--json")
    failed = json.loads(done.stdout)
    assert failed["near"][0]["wnid"] == "n02342885"
    assert failed["problems"][0]["code"] == "no-noun"


def test_a_head_does_not_hide_that_the_whole_is_misspelt() -> None:
    found = told("trafic", "light")
    assert found["synsets"][0]["as"] == "head"
    assert found["near"][0]["near"] == "traffic light"


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for folder, count in (("dogs", 3), ("puppies", 2), ("Wugs", 1)):
        (tmp_path / "images" / folder).mkdir(parents=True)
        for i, data in enumerate(crops("chelsea", count)):
            (tmp_path / "images" / folder / f"{i}.jpg").write_bytes(data)
    (tmp_path / "pets.yaml").write_text(
        "mlimg: 1\nname: pets\nversion: 1.0.0\nsources:\n  home: {type: folder, images: images}\n"
    )
    return tmp_path


def test_with_a_spec_it_says_how_many_images_each_synset_has(pets: Path) -> None:
    (dog, *_) = told("dog", "--spec", "pets.yaml", cwd=pets)["synsets"]
    assert (dog["images"], dog["images_with_below"]) == (3, 5)
    assert [(row["source"], row["category"], row["fate"]) for row in dog["categories"]] == [
        ("home", "dogs", "used")
    ]
    (animal,) = told("n00015388", "--spec", "pets.yaml", cwd=pets)["synsets"]
    assert (animal["images"], animal["images_with_below"]) == (0, 5)
    shown = mlimg("synset", "dog", "--spec", "pets.yaml", cwd=pets).stdout
    assert "3 in pets.yaml, 5 with what is below it" in " ".join(shown.split())


def test_wordnet_find_is_the_same(pets: Path) -> None:
    assert mlimg("wordnet", "find", "dog").stdout == mlimg("synset", "dog").stdout


def test_on_a_terminal_of_80_columns_no_line_is_longer() -> None:
    master, slave = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", "from mlimg_build.cli import main; main()", "synset", "dog"],
        stdout=slave,
        stderr=slave,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"},
        cwd=Path(__file__).resolve().parents[2],
        timeout=120,
        check=True,
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(master)
    lines = shown.decode().splitlines()
    assert any("canine n02083346" in line for line in lines)
    said = " ".join(" ".join(lines).split())
    assert "gloss a member of the genus Canis (probably descended from the common wolf) that has been" in said
    assert (
        "a smooth-textured sausage of minced beef or pork usually smoked; often served on a bread roll"
        in said
    )
    assert max(map(len, lines)) <= 80
