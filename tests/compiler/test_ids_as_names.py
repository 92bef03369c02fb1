"""Ids of WordNet and of Open Images as labels, headers, folders and class names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.situation_world import Outcome, World

DOG, CAT, GONE = "n02084071", "n02121620", "n99999999"
WAYS = ("cells", "headers", "folders", "names in classes")


def labelled(root: Path, way: str, ids: tuple[str, str], classes: str = "") -> Outcome:
    """A build in which image 0 shows the first id and image 1 the second."""
    made = World(root)
    more = ""
    if classes:
        made.file("classes.csv", classes)
        more = ", classes: classes.csv"
    if way == "folders":
        for number, one in enumerate(ids):
            made.image(f"img/{one}/{number}.jpg", number)
        return made.run(f"s: {{type: folder, images: img{more}}}")
    for number in range(2):
        made.image(f"img/{number}.jpg", number)
    if way == "headers":
        made.file("t.csv", f"image,{ids[0]},{ids[1]}\n0.jpg,1,0\n1.jpg,0,1\n")
        return made.run(
            f"s: {{type: table, table: t.csv, images: img, columns: {{labels: {{all_but: []}}}}{more}}}"
        )
    if way == "names in classes":
        made.file("classes.csv", f"1,{ids[0]}\n2,{ids[1]}\n")
        ids, more = ("1", "2"), ", classes: classes.csv"
    made.file("t.csv", f"image,labels\n0.jpg,{ids[0]}\n1.jpg,{ids[1]}\n")
    return made.run(f"s: {{type: table, table: t.csv, images: img{more}}}")


def present(outcome: Outcome) -> list[set[str]]:
    """The categories of image 0 and of image 1."""
    assert not outcome.problems, outcome.error
    ordered = sorted(outcome.labels.items(), key=lambda one: one[0].rsplit("/", 1)[-1])
    return [{name for name, value in labels.items() if value > 0} for _, labels in ordered]


@pytest.mark.parametrize("way", WAYS)
def test_an_id_of_wordnet_is_its_synset(tmp_path: Path, way: str) -> None:
    assert present(labelled(tmp_path, way, (DOG, CAT))) == [{"dog"}, {"cat"}]


@pytest.mark.parametrize("way", WAYS)
def test_an_id_that_wordnet_has_not_is_said(tmp_path: Path, way: str) -> None:
    outcome = labelled(tmp_path, way, (DOG, GONE))
    where = f"s: img/{GONE}" if way == "folders" else "s"
    assert outcome.error == f"error `unknown-synset`: WordNet 3.0 has no noun {GONE} ({where})"


@pytest.mark.parametrize("way", ["cells", "headers"])
def test_an_id_of_open_images_is_named_by_its_class_descriptions(tmp_path: Path, way: str) -> None:
    classes = "/m/0bt9lr,Dog\n/m/01yrx,Cat\n"
    assert present(labelled(tmp_path, way, ("/m/0bt9lr", "/m/01yrx"), classes)) == [{"dog"}, {"cat"}]


@pytest.mark.parametrize("form", ["m_{}", "m.{}", "_m_{}"])
def test_a_folder_bears_such_an_id_without_slashes(tmp_path: Path, form: str) -> None:
    ids = (form.format("0bt9lr"), form.format("01yrx"))
    assert present(labelled(tmp_path / "a", "folders", ids, "/m/0bt9lr,Dog\n/m/01yrx,Cat\n")) == [
        {"dog"},
        {"cat"},
    ]
    error = labelled(tmp_path / "b", "folders", ids)
    assert error.problems[0].code == "ids-without-names"
    assert "the folders are named by ids of Open Images" in error.problems[0].message


@pytest.mark.parametrize("way", ["cells", "headers"])
def test_without_class_descriptions_the_line_to_write_is_shown(tmp_path: Path, way: str) -> None:
    (problem,) = labelled(tmp_path, way, ("/m/0bt9lr", "/m/01yrx")).problems
    assert problem.code == "ids-without-names"
    assert "/m/0bt9lr" in problem.message
    assert "`classes: class-descriptions.csv`" in str(problem.hint)
    assert "/m/0bt9lr,Dog" in str(problem.hint) or "/m/01yrx,Dog" in str(problem.hint)


def test_few_ids_among_names_are_no_error(tmp_path: Path) -> None:
    made = World(tmp_path)
    for number, name in enumerate(("dog", "cat", "horse", "cow")):
        made.image(f"img/{name}/{number}.jpg", number)
    made.image("img/m_0bt9lr/5.jpg", 5)
    outcome = made.run("s: {type: folder, images: img}", "vocabulary: {allow_lost: 0.2}\n")
    assert not outcome.problems
    assert set(outcome.labels) == {"s/dog/0", "s/cat/1", "s/horse/2", "s/cow/3"}
    assert "s/m_0bt9lr/5,unresolved" in (tmp_path / "out/x.left-out.csv").read_text()
