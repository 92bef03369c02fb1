"""Columns of categories in whole builds: labels in the dataset, their place in `why`, warnings, groups and splits."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.explain.image_labels import explain
from mlimg_build.spec import load_spec
from tests.support.runs import inline
from tests.support.situation_world import World

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"


def world(root: Path, images: int = 4) -> World:
    made = World(root)
    for number in range(images):
        made.image(f"img/{number}.jpg", number)
    return made


def test_a_table_of_zeros_and_ones_becomes_labels_with_their_lines(tmp_path: Path) -> None:
    made = world(tmp_path)
    rows = [
        "file,part,who,cat,dog,horse",
        "0.jpg,train,a,1,0,",
        "1.jpg,train,a,0,1,0",
        "2.jpg,val,b,1,,0",
        "3.jpg,,c,,1,0",
    ]
    made.file("t.csv", "\n".join(rows) + "\n")
    outcome = made.run(
        "t: {type: table, table: t.csv, images: img, columns: {image: file, split: part, labels: {all_but: [who]}}}",
        "annotation: {negatives: descendants}\nsplit: {validation: 0}\n",
    )
    assert not outcome.problems
    assert outcome.status == dict.fromkeys([f"t/{i}.jpg" for i in range(4)], "ok")
    labels = {image.removeprefix("t/"): found for image, found in outcome.labels.items()}
    assert labels["0.jpg"] == {"cat": 1.0, "dog": -1.0}
    assert labels["1.jpg"]["cat"] == -1.0
    assert labels["2.jpg"]["cat"] == 1.0
    assert "dog" not in labels["2.jpg"]
    assert outcome.note("category-without-images") == "passed over: `category-without-images` horse"
    (label,) = explain(tmp_path / "out/x.zarr", "t/1.jpg", "cat")["labels"]
    assert label["chain"][0]["text"] == "t.csv:3 says cat is absent (verified)"
    with open_dataset(tmp_path / "out/x.zarr") as dataset:
        assert [image.id for image in dataset.validation] == ["t/2.jpg"]


def test_scores_go_through_min_confidence_and_are_never_facts(tmp_path: Path) -> None:
    made = world(tmp_path, 3)
    table = {"image": ["0.jpg", "1.jpg", "2.jpg"], "cat": [0.9, 1.0, 0.1], "dog": [0.2, 0.0, 0.75]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    outcome = made.run(
        "t: {type: table, table: t.parquet, images: img, columns: {labels: [cat, dog]}, values: scores, "
        "min_confidence: 0.5}"
    )
    found = {image: dict(labels) for image, labels in outcome.labels.items()}
    assert math.isclose(found["t/0.jpg"].pop("cat"), 0.9, rel_tol=1e-6)
    assert 0.999 < found["t/1.jpg"].pop("cat") < 1
    assert found == {"t/0.jpg": {}, "t/1.jpg": {}, "t/2.jpg": {"dog": 0.75}}


def test_the_images_of_a_patient_stay_together_and_the_column_is_no_category(tmp_path: Path) -> None:
    made = world(tmp_path, 6)
    rows = ["image,patient,cat", *(f"{i}.jpg,p{i // 3},1" for i in range(6))]
    made.file("t.csv", "\n".join(rows) + "\n")
    outcome = made.run(
        "t: {type: table, table: t.csv, images: img, columns: {labels: {all_but: []}}}",
        "split: {validation: 0.5, by: {column: patient}}\n",
    )
    assert not outcome.problems
    with open_dataset(tmp_path / "out/x.zarr") as dataset:
        splits = [{image.id for image in dataset[name]} for name in dataset.splits]
    for patient in ({"t/0.jpg", "t/1.jpg", "t/2.jpg"}, {"t/3.jpg", "t/4.jpg", "t/5.jpg"}):
        assert any(patient <= split for split in splits)
    with open_dataset(tmp_path / "out/x.zarr") as dataset:
        assert dataset.categories.names == ["cat"]


def test_some_cells_without_a_meaning_are_a_warning_with_the_line(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.file("t.csv", "image,cat,dog\n0.jpg,1,0\n1.jpg,-1,1\n2.jpg,1,1\n3.jpg,0,1\n")
    outcome = made.run("t: {type: table, table: t.csv, images: img, columns: {labels: [cat, dog]}}")
    (warning,) = [one for one in outcome.warnings if one.code == "cells-without-meaning"]
    assert "t.csv:3: column cat: '-1' (1 cell), of 4 cells" in warning.message
    assert "values: {1: present, 0: absent, -1: unknown}" in str(warning.hint)
    assert warning.place is not None
    assert (tmp_path / "x.yaml").read_text().splitlines()[warning.place.line - 1][
        warning.place.column - 1
    ] == "["


def test_a_wrong_convention_ends_the_build_at_its_source(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.file("t.csv", "image,cat\n0.jpg,1\n1.jpg,-1\n2.jpg,-1\n")
    outcome = made.run("t: {type: table, table: t.csv, images: img, columns: {labels: [cat]}}")
    (problem,) = outcome.problems
    assert problem.code == "cells-without-meaning"
    assert problem.place is not None
    assert problem.place.line == 5
    assert "`values: {1: present, -1: absent}`" in str(problem.hint)


def test_values_are_part_of_what_a_catalog_is_made_of(tmp_path: Path) -> None:
    made = world(tmp_path, 2)
    made.file("t.csv", "image,cat,dog\n0.jpg,1,0\n1.jpg,0,1\n")
    line = "t: {type: table, table: t.csv, images: img, columns: {labels: [cat, dog]}"
    first = made.run(f"{line}}}")
    second = made.run(f"{line}, values: {{1: present, 0: unknown}}}}")
    assert first.labels["t/0.jpg"] == {"cat": 1.0, "dog": -1.0}
    assert second.labels["t/0.jpg"] == {"cat": 1.0}


def separated(root: Path, cells: list[str], more: str = "") -> list[str]:
    """The warnings of a table about its separator."""
    made = world(root, len(cells))
    rows = ["image,labels", *(f'{i}.jpg,"{cell}"' for i, cell in enumerate(cells))]
    made.file("t.csv", "\n".join(rows) + "\n")
    made.file(
        "x.yaml",
        f"{HEAD}  t: {{type: table, table: t.csv, images: img{more}}}\nvocabulary: {{allow_lost: 1.0}}\n",
    )
    try:
        warnings = build(load_spec(root / "x.yaml"), root / "out", inline()).warnings
    except MlimgError as error:
        warnings = error.problems
    return [f"{one.message} {one.hint}" for one in warnings if one.code == "other-separator"]


def test_a_separator_that_never_occurs_while_another_does_is_said(tmp_path: Path) -> None:
    (said,) = separated(tmp_path, ["dog;cat", "dog", "cow; cat", "dog;cow"])
    assert "3 cells of labels hold ';', and none has the separator: t.csv:2: 'dog;cat', of 4 cells" in said
    assert 'write `separator: ";"`' in said


def test_a_separator_that_occurs_or_a_comma_in_few_names_is_not_said(tmp_path: Path) -> None:
    assert separated(tmp_path / "a", ["dog|cat", "dog;cat", "cow;dog"]) == []
    assert separated(tmp_path / "b", ["horse, wild", "dog", "cat"]) == []
    assert separated(tmp_path / "c", ["dog;cat", "cow;cat"], ', separator: ";"') == []


def test_a_list_column_needs_no_separator(tmp_path: Path) -> None:
    made = world(tmp_path, 2)
    pq.write_table(
        pa.table({"image": ["0.jpg", "1.jpg"], "labels": [["dog", "cat"], ["dog"]]}), tmp_path / "t.parquet"
    )
    outcome = made.run("t: {type: table, table: t.parquet, images: img}")
    assert outcome.labels == {"t/0.jpg": {"dog": 1.0, "cat": 1.0}, "t/1.jpg": {"dog": 1.0}}
    assert not [one for one in outcome.warnings if one.code == "other-separator"]
