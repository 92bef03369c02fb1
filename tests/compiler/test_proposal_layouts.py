"""`mlimg init --from`: a folder too high or too low, a folder of datasets, and what is not known."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.proposal.layouts import layouts_of
from mlimg_build.errors import SourceError
from mlimg_build.spec import load_spec
from tests.support import proposals
from tests.support.photographs import crops
from tests.support.proposals import proposed
from tests.support.source_world import write_tar

write = partial(proposals.write, Path())
NUMBERS = ("n01440764", "n02084071")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tars(folder: str, *names: str) -> None:
    for name, data in zip(names, crops("coffee", len(names), 32), strict=True):
        write_tar(Path(folder) / f"{name}.tar", {"a.JPEG": data})


def open_images(folder: str) -> None:
    write(f"{folder}/train/1.jpg", f"{folder}/train/2.jpg")
    rows = ["ImageID,Source,LabelName,Confidence", "1,verification,/m/a,1", "2,verification,/m/b,1"]
    Path(f"{folder}/human.csv").write_text("\n".join([*rows, ""]))
    Path(f"{folder}/class-descriptions.csv").write_text("LabelName,DisplayName\n/m/a,Dog\n/m/b,Cat\n")
    tree = {
        "LabelName": "/m/0",
        "Subcategory": [{"LabelName": "/m/a", "Subcategory": [{"LabelName": "/m/b"}]}],
    }
    Path(f"{folder}/bbox_labels_hierarchy.json").write_text(json.dumps(tree))


def built(path: str, spec: str = "s.yaml") -> dict[str, Any]:
    """Return the sources of the spec that `init` writes and that check and build take as it is."""
    proposed(path, spec)
    assert run(["check", "--deep", spec, "-q"]) == 0
    assert run(["build", spec, "--until", "dataset", "-q"]) == 0
    return dict(load_spec(Path(spec)).document.data["sources"])


def comments(spec: str = "s.yaml") -> str:
    return " ".join(Path(spec).read_text().replace("#", " ").split())


def refused(path: str) -> str:
    with pytest.raises(SourceError) as caught:
        layouts_of(Path(path))
    return str(caught.value)


def test_a_folder_of_datasets_is_a_source_for_each() -> None:
    tars("imagenet/train", *NUMBERS)
    open_images("open_images")
    write("mine/dog/0.jpg", "mine/cat/0.jpg")
    Path("notes").mkdir()
    found = built(".")
    assert {name: one["type"] for name, one in found.items()} == {
        "imagenet": "imagenet",
        "mine": "folder",
        "open_images": "open_images",
    }
    assert found["imagenet"]["images"] == "imagenet/train"
    assert found["open_images"]["hierarchy"] == "open_images/bbox_labels_hierarchy.json"
    assert ", as nothing in it was known: notes" in comments()
    assert {*built(".")} == {*found}  # the spec and what was built lie there now
    assert ", as nothing in it was known: build, notes" in comments()


def test_datasets_are_named_by_their_folders() -> None:
    write("all/one/a.jpg", "all/one/b.jpg")
    Path("all/one/labels.csv").write_text("image,label\na.jpg,dog\nb.jpg,cat\n")
    tars("all/two", "shard-0")
    assert [one.name for one in layouts_of(Path("all"))] == ["one", "two"]


def test_categories_with_a_table_in_one_are_no_datasets() -> None:
    write(*(f"pics/{name}/0.jpg" for name in ("dog", "cat", "horse")))
    Path("pics/dog/meta.csv").write_text("image,label\n0.jpg,brown\n")
    (one,) = layouts_of(Path("pics"))
    assert one.keys == {"type": "folder", "images": Path("pics")}


@pytest.mark.parametrize("inner", ["train", "data", "images", "train/images"])
@pytest.mark.parametrize("kind", ["folders", "tars", "categories"])
def test_a_lone_folder_is_looked_into(inner: str, kind: str) -> None:
    if kind == "tars":
        tars(f"set/{inner}", *NUMBERS)
    else:
        names = NUMBERS if kind == "folders" else ("dog", "cat")
        write(*(f"set/{inner}/{name}/0.jpg" for name in names))
    (one,) = layouts_of(Path("set"))
    assert one.name == "set"
    assert one.keys["type"] == ("folder" if kind == "categories" else "imagenet")
    assert one.keys["images"] == Path("set") / inner
    assert f"set holds one folder, {inner.split('/', maxsplit=1)[0]}, " in one.remarks[0]


def test_one_level_too_high_is_looked_into_and_said() -> None:
    write("p2/camera_dump/dog/0.jpg", "p2/camera_dump/cat/0.jpg")
    assert built("p2")["camera_dump"]["images"] == "p2/camera_dump"
    assert "p2 holds one folder, camera_dump, and what is in that was taken" in comments()


def test_the_folder_of_an_only_category_is_one() -> None:
    write("pics/dog/0.jpg")
    (one,) = layouts_of(Path("pics"))
    assert one.keys == {"type": "folder", "images": Path("pics")}


def test_images_two_folders_deep_are_told_of() -> None:
    write(*(f"sites/{site}/{name}/0.jpg" for site in ("a", "b") for name in ("dog", "cat")))
    (one,) = layouts_of(Path("sites"))
    assert one.keys["images"] == Path("sites")
    assert "`--from sites/a` takes those of one" in one.remarks[0]


@pytest.mark.parametrize("path", ["dump/OK", "dump/OK/0.jpg"])
def test_one_level_too_low_names_the_folder_above(path: str) -> None:
    write("dump/OK/0.jpg", "dump/OK/1.jpg", "dump/dent/0.jpg")
    said = refused(path)
    assert "holds 2 images" in said or "is one image" in said
    assert "dump holds 2 folders of images" in said
    assert "did you mean `mlimg init SPEC --from dump`?" in said


def test_images_without_any_category_are_told_what_to_do() -> None:
    write("lone/0.jpg")
    said = refused("lone")
    assert "lone holds 1 image, and neither folders of categories nor labels" in said
    assert "move the images into a folder for each category" in said


def test_what_is_not_known_names_what_was_found_and_what_would_be() -> None:
    Path("odd/papers").mkdir(parents=True)
    for name in ("a.txt", "b.xml"):
        Path("odd", name).write_text("x")
    said = refused("odd")
    assert "1 folder (papers) and 2 files (a.txt, b.xml)" in said
    assert "known are a folder for each category, ImageNet's folders or tars" in said


def test_a_path_with_a_typing_error_is_told_the_right_one() -> None:
    write("camera_dump/dog/0.jpg")
    assert "did you mean camera_dump?" in refused("camera_dmp")


def test_a_table_that_is_none_does_not_hide_the_folders_beside_it() -> None:
    write("pics/dog/0.jpg", "pics/cat/0.jpg")
    Path("pics/sizes.csv").write_text("height,weight\n1,2\n")
    assert built("pics")["pics"]["type"] == "folder"
    assert "left out, as it is no table of labels: sizes.csv has no column" in comments()


def test_a_split_without_folders_of_categories_is_left_out_and_said() -> None:
    tars("in/train", *NUMBERS)
    write("in/val/a.JPEG", "in/val/b.JPEG")
    found = built("in")["in"]
    assert found["splits"] == {"train": "train", "val": "none"}
    assert "val is left out, as its 2 images lie in no folders of categories" in comments()


def test_a_hierarchy_of_other_classes_is_left_out_and_said() -> None:
    open_images("oi")
    Path("oi/bbox_labels_hierarchy.json").write_text(json.dumps({"LabelName": "/m/zzz"}))
    write("oi/validation/3.jpg")
    assert "hierarchy" not in built("oi")["oi"]
    assert "bbox_labels_hierarchy.json is left out" in comments()
    assert "images of validation are left out" in comments()


def test_a_json_that_only_has_a_key_of_coco_is_not_taken_for_it() -> None:
    tars("shards", "train-000")
    Path("shards/count.json").write_text(json.dumps({"images": 3, "categories": {"a": 1}}))
    Path("shards/export.json").write_text(json.dumps({"categories": ["a"]}))
    assert [one.keys["type"] for one in layouts_of(Path("shards"))] == ["webdataset"]
