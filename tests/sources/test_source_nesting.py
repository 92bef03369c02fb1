"""Which category lies in which: both shapes of Open Images' hierarchy, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.errors import SourceError
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.sources.lists.open_images_hierarchy import OUTSIDE, Nesting, read_nesting

ENTITY = f"{OUTSIDE}entity"
NAMES = {
    "/m/animal": "Animal",
    "/m/bird": "Bird",
    "/m/duck": "Duck",
    "/m/bat": "Bat (Animal)",
    "/m/ball": "Ball",
    "/m/ball2": "ball",
    "/m/wing": "Wing",
}


def named(name: str, *children: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "children": list(children)} if children else {"name": name, "size": 1000}


def read(folder: Path, tree: Any) -> Nesting:
    path = folder / "hierarchy.json"
    path.write_text(tree if isinstance(tree, str) else json.dumps(tree), encoding="utf-8")
    return read_nesting(path, NAMES)


def test_names_become_ids_whatever_their_case(tmp_path: Path) -> None:
    tree = named("Entity", named("ANIMAL", named("bird", named("Duck"))))
    found = read(tmp_path, tree).parents
    assert found == {"/m/animal": (ENTITY,), "/m/bird": ("/m/animal",), "/m/duck": ("/m/bird",)}


def test_a_node_that_is_no_category_stands_by_its_name(tmp_path: Path) -> None:
    tree = named("Animal", named("Flying  things", named("Bird", named("Duck"))))
    things = f"{OUTSIDE}flying things"
    assert read(tmp_path, tree) == Nesting(
        {"/m/bird": (things,), "/m/duck": ("/m/bird",), things: ("/m/animal",)},
        {things: "Flying  things"},
        4,
        0,
    )


def test_a_node_without_a_name_is_passed_through_and_counted(tmp_path: Path) -> None:
    tree = named("Animal", named(" ", named("Duck")))
    assert read(tmp_path, tree) == Nesting({"/m/duck": ("/m/animal",)}, {}, 3, 1)


def test_a_name_that_two_ids_have_is_no_category(tmp_path: Path) -> None:
    found = read(tmp_path, named("Animal", named("Ball", named("Duck"))))
    ball = f"{OUTSIDE}ball"
    assert (found.parents, found.named) == ({"/m/duck": (ball,), ball: ("/m/animal",)}, {ball: "Ball"})


def test_a_name_is_found_without_the_parentheses_of_the_class(tmp_path: Path) -> None:
    assert read(tmp_path, named("Animal", named("Bat"))).parents == {"/m/bat": ("/m/animal",)}


def test_a_class_in_several_places_has_all_its_parents(tmp_path: Path) -> None:
    tree = named("Entity", named("Animal", named("Duck")), named("Bird", named("Duck")))
    assert read(tmp_path, tree).parents["/m/duck"] == ("/m/animal", "/m/bird")


def test_a_class_in_itself_has_no_parent(tmp_path: Path) -> None:
    assert read(tmp_path, named("Animal", named("animal"))).parents == {}


def test_the_official_file_is_read_by_its_ids(tmp_path: Path) -> None:
    tree = {
        "LabelName": "/m/0bl9f",
        "Subcategory": [
            {
                "LabelName": "/m/animal",
                "Subcategory": [
                    {"LabelName": "/m/bird", "Part": [{"LabelName": "/m/wing"}]},
                    {"LabelName": "/m/unknown", "Subcategory": [{"LabelName": "/m/duck"}]},
                ],
            }
        ],
    }
    parents = {"/m/bird": ("/m/animal",), "/m/duck": ("/m/animal",), "/m/wing": ("/m/bird",)}
    assert read(tmp_path, tree) == Nesting(parents, {}, 6, 2), "two ids have a name nowhere"


def test_an_id_that_the_class_file_lacks_has_the_name_of_its_node(tmp_path: Path) -> None:
    tree = {"LabelName": "/m/x", "name": "Poultry", "Subcategory": [{"LabelName": "/m/duck"}]}
    poultry = f"{OUTSIDE}poultry"
    assert read(tmp_path, tree) == Nesting({"/m/duck": (poultry,)}, {poultry: "Poultry"}, 2, 0)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ('{"name": ', "nesting-unreadable", "is no JSON"),
        ("[" * 100_000, "list-unreadable", "cannot be read"),
        ("[]", "nesting-shape", "at its top"),
        ('{"name": 7}', "nesting-shape", "at its top"),
        ('{"name": "Animal", "children": ["Duck"]}', "nesting-shape", "/children/0"),
        ('{"name": "Animal", "children": 7}', "nesting-shape", "/children"),
    ],
)
def test_what_is_no_hierarchy_is_refused(tmp_path: Path, text: str, code: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as refused:
        read(tmp_path, text)
    assert refused.value.code == code


def test_every_node_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        read(tmp_path, {"name": "Animal", "children": [1, {"name": "Duck"}, {}]})
    assert len(refused.value.problems) == 2


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        read_nesting(tmp_path / "nothing.json", NAMES)
    (tmp_path / "latin.json").write_bytes(b'{"name": "B\xe4r"}')
    with pytest.raises(SourceError, match="cannot be read"):
        read_nesting(tmp_path / "latin.json", NAMES)


def test_most_boxable_classes_are_nested(shared_data: Path) -> None:
    folder = shared_data / "open-images"
    names = dict(class_descriptions(folder / "class-descriptions-v6.csv", "names"))
    nesting = read_nesting(folder / "bbox_labels_hierarchy.json", names)
    assert len(nesting.parents) > 500
    assert nesting.parents["/m/06y5r"] == ("/m/083kb",), "a Sword is a Weapon"
    assert (nesting.nodes, nesting.nameless) == (693, 0)
