"""A source's own splits: folders or a column say where an image is, and what nobody placed is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.compiler.catalog.catalog import catalog
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.sources import open_source
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline
from tests.support.source_world import write_tar

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
TENCH, DOG = "n01440764", "n02084071"


def write(root: Path, *paths: str) -> None:
    for path, data in zip(paths, crops("chelsea", len(paths), 32), strict=True):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def splits_of(root: Path, source: str, rest: str = "") -> dict[str, set[str]]:
    """The names of the images in each split of the dataset that is built of one source."""
    (root / "x.yaml").write_text(f"{HEAD}  {source}\n{rest}")
    made = build(load_spec(root / "x.yaml"), root / "out", inline())
    dataset = open_dataset(made.dataset)
    return {name: {image.id for image in dataset[name]} for name in dataset.splits}


def refused(root: Path, source: str) -> Problem:
    (root / "x.yaml").write_text(f"{HEAD}  {source}\n")
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(root / "x.yaml"), root / "out")
    return caught.value.problems[0]


def test_folders_of_splits_are_one_source(tmp_path: Path) -> None:
    write(tmp_path, "img/train/dog/a.jpg", "img/train/cat/b.jpg", "img/val/dog/a.jpg", "img/test/dog/c.jpg")
    found = splits_of(
        tmp_path, "s: {type: folder, images: img, splits: {train: train, val: validation, test: none}}"
    )
    assert found == {"train": {"s/train/dog/a", "s/train/cat/b"}, "validation": {"s/val/dog/a"}}


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    write(tmp_path, "img/train/dog/a.jpg", "img/test/dog/c.jpg", "img/test/cat/d.jpg")
    (tmp_path / "x.yaml").write_text(
        f"{HEAD}  s: {{type: folder, images: img, splits: {{train: train, test: none}}}}\n"
    )
    loaded = load_spec(tmp_path / "x.yaml")
    part = loaded.spec.sources["s"]
    made = catalog("s", open_source("s", part), part, tmp_path / "catalogs")
    assert made.notes.counts["split-left-out"] == 2
    assert [category.id for category in made.categories] == ["cat", "dog"]


@pytest.mark.parametrize("tars", [False, True])
def test_imagenet_with_train_and_val_is_one_source(tmp_path: Path, tars: bool) -> None:
    one, other = crops("chelsea", 2, 32)
    for split, name, data in (("train", "n01440764_1", one), ("val", "ILSVRC2012_val_00000007", other)):
        if tars:
            write_tar(tmp_path / "img" / split / f"{TENCH}.tar", {f"{name}.JPEG": data})
        else:
            (tmp_path / "img" / split / TENCH).mkdir(parents=True)
            (tmp_path / "img" / split / TENCH / f"{name}.JPEG").write_bytes(data)
    found = splits_of(tmp_path, "s: {type: imagenet, images: img, splits: {train: train, val: validation}}")
    assert found == {
        "train": {"s/train/n01440764_1"},
        "validation": {f"s/val/{TENCH}/ILSVRC2012_val_00000007"},
    }


def test_a_column_says_the_split_and_an_empty_cell_is_drawn(tmp_path: Path) -> None:
    write(tmp_path, *(f"img/{i}.jpg" for i in range(5)))
    rows = ["0.jpg,dog,Train", "1.jpg,dog,val", "2.jpg,cat,hold-out", "3.jpg,cat,test", "4.jpg,cat,"]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels,part", *rows, ""]))
    found = splits_of(
        tmp_path,
        "s: {type: table, table: t.csv, images: img, columns: {split: part}, "
        "splits: {hold-out: transfer_validation, test: none}}",
        "split: {validation: 0}\n",
    )
    assert found["train"] == {"s/0.jpg", "s/4.jpg"}
    assert found["validation"] == {"s/1.jpg"}
    assert found["transfer_validation"] == {"s/2.jpg"}
    assert not any("s/3.jpg" in names for names in found.values())


def test_a_split_without_a_place_is_an_error_with_all_values(tmp_path: Path) -> None:
    write(tmp_path, *(f"img/{i}.jpg" for i in range(4)))
    rows = ["0.jpg,dog,train", "1.jpg,dog,test", "2.jpg,cat,test", "3.jpg,cat,extra"]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels,split", *rows, ""]))
    problem = refused(tmp_path, "s: {type: table, table: t.csv, images: img, columns: {split: split}}")
    assert problem.code == "split-unplaced"
    assert "test (2 images), extra (1 images)" in problem.message
    assert "splits: {test: validation}" in str(problem.hint)


def test_a_column_of_names_is_none_of_splits(tmp_path: Path) -> None:
    write(tmp_path, "img/0.jpg")
    rows = [f"{i}.jpg,dog,{i}" for i in range(3000)]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels,split", *rows, ""]))
    problem = refused(tmp_path, "s: {type: table, table: t.csv, images: img, columns: {split: split}}")
    assert problem.code == "split-unplaced"
    assert "more" in problem.message
    assert len(problem.message) < 300


def test_a_folder_beside_the_splits_has_to_be_placed(tmp_path: Path) -> None:
    write(tmp_path, "img/train/dog/a.jpg", "img/unseen/dog/b.jpg")
    assert (
        refused(tmp_path, "s: {type: folder, images: img, splits: {train: train}}").code == "split-unplaced"
    )
    problem = refused(tmp_path, "s: {type: folder, images: img, splits: {train: train, unsen: none}}")
    assert problem.code == "split-missing"
    assert "train and unseen" in str(problem.hint)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "{type: folder, images: img, split: train, splits: {train: train}}",
            "split puts all images into one",
        ),
        ("{type: folder, images: img, splits: {train: trian}}", "expected train"),
        ("{type: table, table: t.csv, images: img, splits: {train: train}}", "no column says which split"),
        (
            "{type: open_images, images: img, labels: [l.csv], classes: c.csv, splits: {train: train}}",
            "splits",
        ),
    ],
)
def test_what_cannot_be_is_an_error_of_the_spec(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "x.yaml").write_text(f"{HEAD}  s: {source}\n")
    with pytest.raises(MlimgError) as caught:
        load_spec(tmp_path / "x.yaml")
    assert any(said in problem.message for problem in caught.value.problems)


def test_an_image_in_two_splits_is_in_the_first_and_said(tmp_path: Path) -> None:
    write(tmp_path, "img/0.jpg", "img/1.jpg")
    rows = ["0.jpg,dog,val", "0.jpg,dog,", "0.jpg,dog,train", "1.jpg,dog,val"]
    for order in (rows, rows[::-1]):
        (tmp_path / "t.csv").write_text("\n".join(["image,labels,split", *order, ""]))
        (tmp_path / "x.yaml").write_text(
            f"{HEAD}  s: {{type: table, table: t.csv, images: img, columns: {{split: split}}}}\n"
        )
        part = load_spec(tmp_path / "x.yaml").spec.sources["s"]
        made = catalog("s", open_source("s", part), part, tmp_path / "catalogs")
        splits = dict(
            zip(made.images.column("name").to_pylist(), made.images.column("split").to_pylist(), strict=True)
        )
        assert splits == {"0.jpg": 0, "1.jpg": 1}
        assert made.notes.counts["in-two-splits"] == 2


def test_a_group_on_both_sides_of_the_sources_own_splits_is_said(tmp_path: Path) -> None:
    write(tmp_path, "img/train/dog/p1-a.jpg", "img/val/dog/p1-b.jpg", "img/val/dog/p2-a.jpg")
    (tmp_path / "x.yaml").write_text(
        f"{HEAD}  s: {{type: folder, images: img, splits: {{train: train, val: validation}}}}\n"
        'split: {by: {pattern: "(p[0-9]+)-"}}\n'
    )
    made = plan(load_spec(tmp_path / "x.yaml"), tmp_path / "out")
    (said,) = [problem for problem in made.warnings if problem.code == "group-in-two-splits"]
    assert "1 groups lie on both sides" in said.message
    assert "p1 (train and validation)" in said.message


def test_a_source_without_splits_of_its_own_has_the_digest_that_it_had(tmp_path: Path) -> None:
    """So that what was locked and built before is not made anew."""
    (tmp_path / "img" / "dog").mkdir(parents=True)
    (tmp_path / "img" / "dog" / "a.jpg").write_bytes(b"not looked at")
    (tmp_path / "x.yaml").write_text(f"{HEAD}  s: {{type: folder, images: img}}\n")
    part = load_spec(tmp_path / "x.yaml").spec.sources["s"]
    made = catalog("s", open_source("s", part), part, tmp_path / "catalogs")
    assert made.digest == "14abb8d85e3e5e68dcaee0f467f5b925fe739caf5402a6269c2d91871224ac38"
