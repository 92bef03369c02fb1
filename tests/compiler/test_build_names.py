"""Layouts and labels that name nothing are refused with what to write; a person's decision overrules."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mlimg_build.compiler.facts.category_names import folder_problems
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import load_spec, render
from tests.support.photographs import crops

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
DOG, TENCH, NAAN = "n02084071", "n01440764", "n07684289"


def planned(root: Path, source: str, rest: str = "") -> Plan:
    (root / "x.yaml").write_text(f"{HEAD}  {source}\n{rest}")
    return plan(load_spec(root / "x.yaml"), root / "out")


def refused(root: Path, source: str, rest: str = "") -> Problem:
    with pytest.raises(MlimgError) as caught:
        planned(root, source, rest)
    return caught.value.problems[0]


def folders(root: Path, *names: str) -> str:
    for name, data in zip(names, crops("chelsea", len(names), 32), strict=True):
        (root / "img" / name).mkdir(parents=True)
        (root / "img" / name / "a.jpg").write_bytes(data)
    return "s: {type: folder, images: img}"


def table(root: Path, *labels: str, more: str = "") -> str:
    (root / "img").mkdir()
    rows = ["image,labels"]
    for number, (label, data) in enumerate(zip(labels, crops("chelsea", len(labels), 32), strict=True)):
        (root / "img" / f"{number}.jpg").write_bytes(data)
        rows.append(f"{number}.jpg,{label}")
    (root / "t.csv").write_text("\n".join(rows) + "\n")
    return f"t: {{type: table, table: t.csv, images: img{more}}}"


def fates(made: Plan) -> dict[str, tuple[str | None, str]]:
    return {row.decision.id: (row.wnid, row.fate) for row in made.facts.vocabulary.placed}


def test_splits_are_no_categories(tmp_path: Path) -> None:
    problem = refused(tmp_path, folders(tmp_path, "train", "val"))
    assert problem.code == "folders-are-splits"
    assert problem.place is not None
    assert problem.place.line == 5
    assert problem.hint is not None
    shown = render(problem, lambda file: None).splitlines()
    assert "  s: {type: folder, images: img, splits: {train: train, val: validation}}" in shown


def test_the_lines_of_the_hint_are_a_spec(tmp_path: Path) -> None:
    for name, data in zip(("train/dog", "train/cat", "val/dog"), crops("chelsea", 3, 32), strict=True):
        (tmp_path / "img" / name).mkdir(parents=True)
        (tmp_path / "img" / name / "a.jpg").write_bytes(data)
    hint = refused(tmp_path, "s: {type: folder, images: img}").hint
    assert hint is not None
    lines = "\n".join(line for line in hint.splitlines() if line.startswith("  ")).strip()
    made = planned(tmp_path, lines)
    assert {work.shard.split: work.shard.images for work in made.work} == {"train": 2, "validation": 1}


@pytest.mark.parametrize(
    "names",
    [
        ("train_set", "val_set"),
        ("training-set", "test-set"),
        ("train_images", "test_images"),
        ("img_train", "valset"),
    ],
)
def test_common_names_of_splits_are_none_of_categories_and_the_hint_has_their_folders(
    names: tuple[str, str], tmp_path: Path
) -> None:
    problem = refused(tmp_path, folders(tmp_path, *names))
    assert problem.code == "folders-are-splits"
    placed = {
        name: "validation" if "val" in name else "train" if "train" in name else "none"
        for name in sorted(names)
    }
    assert f"splits: {{{', '.join(f'{name}: {place}' for name, place in placed.items())}}}" in str(
        problem.hint
    )


def test_a_folder_around_all_images_is_no_category_and_the_hint_takes_it(tmp_path: Path) -> None:
    problem = refused(tmp_path, folders(tmp_path, "images"))
    assert problem.code == "folders-are-splits"
    assert "s: {type: folder, images: img/images}" in str(problem.hint)


def test_a_check_sees_it_without_reading_a_source(tmp_path: Path) -> None:
    source = folders(tmp_path, "train", "val")
    (tmp_path / "x.yaml").write_text(f"{HEAD}  {source}\n")
    assert [problem.code for problem in folder_problems(load_spec(tmp_path / "x.yaml"))] == [
        "folders-are-splits"
    ]


def test_a_train_among_vehicles_is_a_category(tmp_path: Path) -> None:
    made = planned(tmp_path, folders(tmp_path, "train", "bus", "car"))
    assert all(fate == "used" for _, fate in fates(made).values())


def test_a_person_may_decide_that_train_is_a_train(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text("source,category,wnid\ns,train,n04468005\n")
    made = planned(tmp_path, folders(tmp_path, "train"), "vocabulary: {mapping: {file: map.csv}}\n")
    assert fates(made) == {"train": ("n04468005", "used")}


@pytest.mark.parametrize("names", [("0", "1", "2"), ("1", "dog")])
def test_folders_that_are_numbers_are_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    problem = refused(tmp_path, folders(tmp_path, *names))
    assert problem.code == "numeric-labels"
    assert "classes: FILE" in str(problem.hint)


def test_folders_that_are_numbers_have_names_by_a_list(tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("id,name\n0,tench\n1,dog\n")
    folders(tmp_path, "0", "1")
    made = planned(tmp_path, "s: {type: folder, images: img, classes: names.csv}")
    assert fates(made) == {"0": (TENCH, "used"), "1": (DOG, "used")}


def test_a_column_of_numbers_is_refused_and_a_list_of_names_helps(tmp_path: Path) -> None:
    source = table(tmp_path, "3", "3.0", "1.5", "-1", "10.0")
    problem = refused(tmp_path, source)
    assert problem.code == "numeric-labels"
    assert "3" in problem.message
    (tmp_path / "names.csv").write_text("3,dog\n3.0,cat\n1.5,tench\n-1,horse\n10.0,sheep\n")
    made = planned(tmp_path, "t: {type: table, table: t.csv, images: img, classes: names.csv}")
    assert fates(made)["3"] == (DOG, "used")


@pytest.mark.parametrize("typed", [pa.int64(), pa.float64(), pa.bool_()])
def test_a_parquet_column_of_numbers_is_refused(typed: pa.DataType, tmp_path: Path) -> None:
    table(tmp_path, "a", "b")
    values = pa.array([1, 0], pa.int64()).cast(typed)
    parquet.write_table(pa.table({"image": ["0.jpg", "1.jpg"], "labels": values}), tmp_path / "t.parquet")
    code = refused(tmp_path, "t: {type: table, table: t.parquet, images: img}").code
    assert code == ("no-category" if pa.types.is_boolean(typed) else "numeric-labels")


def test_a_typed_nan_is_an_empty_cell(tmp_path: Path) -> None:
    table(tmp_path, "a", "b", "c")
    values = pa.array([1.0, float("nan"), None], pa.float64())
    columns = {"image": ["0.jpg", "1.jpg", "2.jpg"], "labels": values}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    (tmp_path / "names.csv").write_text("1,dog\n")
    made = planned(
        tmp_path,
        "t: {type: table, table: t.parquet, images: img, classes: names.csv}",
        "annotation: {unlabelled: keep}\n",
    )
    assert fates(made) == {"1": (DOG, "used"), "nan": (None, "no_value")}


def test_words_for_no_value_among_names_are_empty_cells(tmp_path: Path) -> None:
    made = planned(tmp_path, table(tmp_path, "dog", "NaN", "NA", "None", "True", "3.0", "cat", "tench"))
    found = fates(made)
    assert {key: fate for key, (wnid, fate) in found.items() if wnid is None} == {
        "NaN": "no_value",
        "NA": "no_value",
        "None": "no_value",
        "True": "unresolved",
        "3.0": "unresolved",
    }
    (warning,) = made.warnings
    assert warning.code == "unresolved-name"
    assert "'3.0', 'True'" in warning.message
    assert "NaN" not in warning.message


def test_a_signed_nan_is_bread(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text(f"source,category,wnid,reviewer\nt,NaN,{NAAN},me\n")
    made = planned(tmp_path, table(tmp_path, "dog", "NaN"), "vocabulary: {mapping: {file: map.csv}}\n")
    assert fates(made)["NaN"] == (NAAN, "used")


def test_an_id_at_the_head_of_a_folder_s_name_is_its_id(tmp_path: Path) -> None:
    made = planned(tmp_path, folders(tmp_path, f"{TENCH}_tench", f"{DOG}-dog", "cat"))
    assert fates(made)[f"{TENCH}_tench"] == (TENCH, "used")
    assert fates(made)[f"{DOG}-dog"] == (DOG, "used")


def test_two_folders_of_one_id_are_one_category(tmp_path: Path) -> None:
    made = planned(tmp_path, folders(tmp_path, f"{TENCH}_tench", TENCH))
    assert made.facts.vocabulary.wnids == (TENCH,)
    assert made.rows.shards[0].images == 2
