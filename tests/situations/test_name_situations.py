"""What becomes of names of categories and folders: each is a row of the table in the documentation."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest

from tests.support.situation_world import Outcome, World

Seen = Callable[[str], None]
KEEP = "annotation: {unlabelled: keep}\n"


def _mapped(world: World) -> dict[str, dict[str, str]]:
    with (world.root / "out/x.lock/mappings.csv").open(newline="") as stream:
        return {row["category"]: row for row in csv.DictReader(stream)}


@pytest.mark.few(4)
@pytest.mark.parametrize(
    ("situation", "cell"),
    [
        ("the label NaN", "NaN"),
        ("the label NA", "NA"),
        ("the label n.a.", "n.a."),
        ("the label None", "None"),
        ("the label null", "null"),
        ("the label -", "-"),
        ("the label ?", "?"),
        ("the label True", "True"),
        ("the label 3.0 among names", "3.0"),
        ("a name that no noun has (qwzx)", "qwzx"),
    ],
)
def test_what_is_no_name_is_no_noun(situation: str, cell: str, world: World, seen: Seen) -> None:
    outcome = world.table(f"image,labels\na.jpg,{cell}\nb.jpg,dog\nc.jpg,cat\nd.jpg,dog\n", rest=KEEP)
    assert outcome.label("t/b.jpg") == "dog present"
    row = _mapped(world)[cell]
    assert row["wnid"] == ""
    seen(f"{outcome.label('t/a.jpg')}; the category is `{row['fate']}`")


@pytest.mark.parametrize(
    ("situation", "cell"),
    [
        ("the name cat", "cat"),
        ("the name Domestic_Cats", "Domestic_Cats"),
        ("the id n02084071", "n02084071"),
        ("a name beside its id: n02084071 dog", "n02084071 dog"),
    ],
)
def test_a_name_is_a_synset(situation: str, cell: str, world: World, seen: Seen) -> None:
    outcome = world.table(f"image,labels\na.jpg,{cell}\nb.jpg,dog\nc.jpg,horse\nd.jpg,sheep\n")
    seen(outcome.label("t/a.jpg"))


def test_a_kind_of(world: World, seen: Seen) -> None:
    """stop sign, which is a kind of sign and no noun of its own"""
    outcome = world.table("image,labels\na.jpg,zebra stop sign\nb.jpg,dog\nc.jpg,cat\n", rest=KEEP)
    row = _mapped(world)["zebra stop sign"]
    seen(f"{outcome.label('t/a.jpg')}; the category is `{row['fate']}`")


def test_numbers_as_labels(world: World, seen: Seen) -> None:
    """a column of class numbers"""
    seen(world.table("image,labels\na.jpg,3\nb.jpg,0\nc.jpg,7\n").error)


def _folders(world: World, *names: str) -> Outcome:
    for number, name in enumerate(names):
        world.image(f"img/{name}/a.jpg", number)
    return world.run("s: {type: folder, images: img}")


@pytest.mark.parametrize(
    ("situation", "names"),
    [
        ("a folder source over train and val", ("train", "val")),
        ("a folder source over 0, 1 and 2", ("0", "1", "2")),
    ],
)
def test_folders_that_are_no_categories(
    situation: str, names: tuple[str, ...], world: World, seen: Seen
) -> None:
    seen(_folders(world, *names).error)


def test_a_train_among_vehicles(world: World, seen: Seen) -> None:
    """a folder source over train, bus and car"""
    outcome = _folders(world, "train", "bus", "car")
    seen(outcome.label("s/train/a"))


def test_an_id_at_the_head_of_a_folder_s_name(world: World, seen: Seen) -> None:
    """a folder n01440764_tench"""
    outcome = _folders(world, "n01440764_tench", "dog")
    seen(outcome.label("s/n01440764_tench/a"))


def test_an_id_that_is_in_no_release(world: World, seen: Seen) -> None:
    """an id that WordNet 3.0 has not"""
    seen(_folders(world, "n99999999", "dog").error)


def test_no_name_is_a_noun(world: World, seen: Seen) -> None:
    """names of which none is a noun (class_a1x)"""
    seen(_folders(world, "class_a1x", "class_b2x").error)


def test_a_mapping_that_is_not_there(world: World, seen: Seen) -> None:
    """a mapping file that is not there"""
    outcome = world.table(
        "image,labels\na.jpg,dog\nb.jpg,cat\n", rest="vocabulary: {mapping: {file: gone.csv}}\n"
    )
    seen(outcome.error)


def test_a_correction_without_a_signature(world: World, seen: Seen) -> None:
    """a corrected row of a mapping that nobody signed"""
    world.file("map.csv", "source,category,wnid,reviewer\nt,dog,n02121620,\n")
    outcome = world.table(
        "image,labels\na.jpg,dog\nb.jpg,horse\n", rest="vocabulary: {mapping: {file: map.csv}}\n"
    )
    seen(f"{outcome.warned('mapping-unsigned')}; {outcome.label('t/a.jpg')}")


def test_a_signed_decision(world: World, seen: Seen) -> None:
    """the label NaN, and a person who signed that it is the bread"""
    world.file("map.csv", "source,category,wnid,reviewer\nt,NaN,n07684289,me\n")
    outcome = world.table(
        "image,labels\na.jpg,NaN\nb.jpg,horse\n", rest="vocabulary: {mapping: {file: map.csv}}\n"
    )
    seen(outcome.label("t/a.jpg"))
