"""`mlimg map`: it writes the file that a spec names, and says in numbers what it found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import mlimg
from tests.support.photographs import crops

SPEC = """\
mlimg: 1
name: pets
version: 1.0.0
sources:
  pets: {type: open_images, images: images, labels: labels.csv, classes: classes.csv}
vocabulary:
  mapping: {file: decided/mapping.csv, unresolved: error, unreviewed: error}
"""


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Photographs of dogs, kites and something that WordNet does not know; no mapping file."""
    (tmp_path / "images").mkdir()
    for name, data in zip("abcd", crops("chelsea", 4), strict=True):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
    rows = [
        f"{image},verification,/m/{label},1"
        for image, label in zip("abcd", ("dog", "kite", "wug", "kite2"), strict=True)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["ImageID,Source,LabelName,Confidence", *rows]) + "\n")
    (tmp_path / "classes.csv").write_text("/m/dog,Dog\n/m/kite,Kite\n/m/wug,Blicket wuggle\n/m/kite2,kite\n")
    (tmp_path / "pets.yaml").write_text(SPEC)
    return tmp_path


def test_map_writes_the_file_that_the_spec_names_and_that_all_others_miss(pets: Path) -> None:
    for verb in ("check", "plan", "lock", "build"):
        done = mlimg(verb, "pets.yaml", cwd=pets)
        assert done.returncode == 1, (verb, done.stderr)
        assert "error[path-missing]" in done.stderr
        assert "mlimg map pets.yaml" in done.stderr
    done = mlimg("map", "pets.yaml", cwd=pets)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(pets / "decided" / "mapping.csv")] or done.stdout.split() == [
        "decided/mapping.csv"
    ]
    assert "is not there yet" in done.stderr
    assert (pets / "decided" / "mapping.csv").read_text().startswith("source,category,name,wnid")
    assert "path-missing" not in mlimg("plan", "pets.yaml", cwd=pets).stderr
    again = mlimg("map", "pets.yaml", cwd=pets)
    assert again.returncode == 0, again.stderr
    assert "is not there yet" not in again.stderr


def test_map_as_json_has_numbers_for_numbers_and_null_for_nothing(pets: Path) -> None:
    done = mlimg("map", "pets.yaml", "--json", cwd=pets)
    assert done.returncode == 0, done.stderr
    assert not (pets / "decided").exists(), "it only tells"
    rows = {row["category"]: row for row in json.loads(done.stdout)}
    dog, wug = rows["/m/dog"], rows["/m/wug"]
    assert isinstance(dog["score"], float)
    assert 0 < dog["score"] <= 1
    assert dog["images"] == 1
    assert dog["reviewer"] is None
    assert all(0 <= one["score"] <= 1 for row in rows.values() for one in row["alternatives"])
    assert (wug["wnid"], wug["synset"], wug["relation"]) == (None, None, None)
    assert wug["score"] == 0
    assert wug["method"] == "unresolved"


def test_names_in_doubt_are_said_by_map_plan_and_lint(pets: Path) -> None:
    (pets / "pets.yaml").write_text(SPEC[: SPEC.index("vocabulary:")])
    rows = json.loads(mlimg("map", "pets.yaml", "--json", cwd=pets).stdout)
    assert {row["category"] for row in rows[:2]} == {"/m/kite", "/m/kite2"}, "what is in doubt comes first"
    (kite,) = (row for row in rows if row["category"] == "/m/kite")
    assert "/m/kite2 of this source has the same name" in kite["evidence"]
    done = mlimg("plan", "pets.yaml", cwd=pets)
    assert "warning[same-name]: source pets: several categories have one name: 'Kite'" in done.stderr
    listed = json.loads(mlimg("lint", "pets.yaml", "--json", cwd=pets).stdout)
    assert "same-name" in {one["kind"] for one in listed["findings"]}
    shown = mlimg("lint", "pets.yaml", cwd=pets)
    assert "pets has several categories called Kite: /m/kite, /m/kite2" in shown.stdout


def test_a_mapping_file_takes_a_name_for_an_id(pets: Path) -> None:
    (pets / "decided").mkdir()
    file = pets / "decided" / "mapping.csv"
    rows = ["source,category,wnid,reviewer", "pets,/m/wug,Labrador retriever,me", "pets,/m/kite,kite.n.04,me"]
    file.write_text("\n".join(rows) + "\n")
    (pets / "pets.yaml").write_text(SPEC.replace("error", "warn"))
    assert mlimg("check", "pets.yaml", cwd=pets).returncode == 0
    assert mlimg("map", "pets.yaml", cwd=pets).returncode == 0
    text = file.read_text()
    assert "/m/wug,Blicket wuggle,n02099712," in text, "the id is what is kept"
    assert "/m/kite,Kite,n01608432," in text


@pytest.mark.parametrize(
    ("written", "code", "hint"),
    [
        ("kite", "ambiguous-name", "kite.n.04 n01608432 kite: a kind of hawk"),
        ("hampster", "no-noun", "n02342885 hamster"),
        ("n99999999", "unknown-synset", "near it are"),
    ],
)
def test_a_name_of_several_senses_in_a_mapping_file_lists_their_ids(
    pets: Path, written: str, code: str, hint: str
) -> None:
    (pets / "decided").mkdir()
    file = pets / "decided" / "mapping.csv"
    file.write_text(f"source,category,wnid,reviewer\npets,/m/wug,{written},me\n")
    done = mlimg("check", "pets.yaml", cwd=pets)
    assert done.returncode == 1
    assert f"error[{code}]" in done.stderr
    assert "mapping.csv:2:1" in done.stderr
    assert hint in done.stderr


def test_a_list_of_ids_gives_the_id_of_a_name(pets: Path) -> None:
    (pets / "no.txt").write_text("animal  # too broad\n")
    (pets / "pets.yaml").write_text(SPEC.replace("vocabulary:\n", "vocabulary:\n  exclude: no.txt\n"))
    done = mlimg("check", "pets.yaml", cwd=pets)
    assert "no.txt:1:1" in done.stderr
    assert "write n00015388 animal" in done.stderr
