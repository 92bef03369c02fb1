"""Every category that is not used has a name and a reason, and so has every image that is left out."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlimg_build.compiler.facts.unused_categories import REASONS as CATEGORY_REASONS
from mlimg_build.compiler.facts.unused_categories import reason_codes
from mlimg_build.compiler.plan import left_out
from mlimg_build.compiler.plan.left_out import REASONS, write_left_out
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.plan_summary import plan_summary
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.labels import FATES
from mlimg_build.spec import load_spec
from tests.support.photographs import crops

SPEC = """\
mlimg: 1
name: few
version: 1.0.0
sources:
  rows:
    type: table
    table: rows.csv
    images: images
    columns: {confidence: sure}
    min_confidence: 0.5
    min_images_per_category: 2
    exclude: [rabbit]
vocabulary:
  mapping: {file: mapping.csv}
  exclude: [n02084071]
  exclude_below: [n02121620]
"""
ROWS = {
    "a": [("car", 1)],
    "b": [("car", 1), ("quux zblorp", 1)],
    "c": [("quux zblorp", 1)],
    "d": [("quux zblorp", 1), ("red bus", 1)],
    "e": [("red bus", 1)],
    "f": [("boat", 1)],
    "g": [("rabbit", 1)],
    "h": [("dog", 1)],
    "i": [("tabby", 1)],
    "j": [("mouse", 1)],
    "k": [("car", 0.2)],
    "l": [],
    "m": [("3.0", 1)],
    "n": [("NaN", 1)],
    "o": [("True", 1)],
}
MAPPING = "source,category,wnid\nrows,mouse,\nrows,dog,n02084071\nrows,tabby,n02123045\n"
WANTED = {
    "c": "unresolved",
    "d": "unresolved",
    "e": "is_a",
    "f": "rare_in_source",
    "g": "source_exclude",
    "h": "exclude",
    "i": "exclude_below",
    "j": "dropped",
    "k": "below_confidence",
    "l": "no_label",
    "m": "number",
    "n": "no_value",
    "o": "truth",
}


@pytest.fixture
def made(tmp_path: Path) -> Plan:
    (tmp_path / "images").mkdir()
    for name, data in zip(ROWS, crops("coffee", len(ROWS)), strict=True):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
    rows = [
        f"{image}.jpg,{label},{sure}" for image, said in ROWS.items() for label, sure in said or [("", "")]
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["image,labels,sure", *rows]) + "\n")
    (tmp_path / "mapping.csv").write_text(MAPPING)
    (tmp_path / "few.yaml").write_text(SPEC)
    return plan(load_spec(tmp_path / "few.yaml"), tmp_path / "out")


def written(made: Plan, folder: Path) -> Path | None:
    return write_left_out(
        made.loaded.spec, made.inputs.catalogs, made.facts, made.rows.dropped, folder, "few"
    )


def test_every_unused_category_is_named_with_its_reason_and_its_images(made: Plan) -> None:
    told = {one.category: (one.reason, one.images) for one in made.unused_categories}
    assert told == {
        "quux zblorp": ("unresolved", 3),
        "red bus": ("is_a", 2),
        "boat": ("rare_in_source", 1),
        "rabbit": ("source_exclude", 1),
        "dog": ("exclude", 1),
        "tabby": ("exclude_below", 1),
        "mouse": ("dropped", 1),
        "3.0": ("number", 1),
        "NaN": ("no_value", 1),
        "True": ("truth", 1),
    }
    assert made.unused_categories[0].category == "quux zblorp"  # most images first
    assert "rows,red bus,WNID" in made.unused_categories[1].remedy
    assert "bus" in made.unused_categories[1].meaning


def test_every_image_that_is_left_out_is_listed_with_its_reason(made: Plan, tmp_path: Path) -> None:
    path = written(made, tmp_path)
    assert path == tmp_path / "few.left-out.csv"
    with path.open(newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    assert {image.removeprefix("rows/"): row["reason"] for image, row in rows.items()} == {
        f"{image}.jpg": reason for image, reason in WANTED.items()
    }
    assert rows["rows/d.jpg"]["labels"] == "quux zblorp (unresolved); red bus (is_a)"
    assert rows["rows/l.jpg"]["statements"] == "0"
    counts = made.left_out
    assert counts == {
        reason: [*WANTED.values()].count(reason) for reason in REASONS if reason in WANTED.values()
    }
    assert plan_summary(made)["left_out"] == counts
    assert sum(counts.values()) == made.rows.dropped == len(WANTED)


def test_an_image_of_a_category_that_nobody_confirmed_is_left_out_for_that(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name, data in zip("ab", crops("coffee", 2), strict=True):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
    (tmp_path / "rows.csv").write_text("image,labels\na.jpg,crane\nb.jpg,tabby cat\n")
    (tmp_path / "mapping.csv").write_text(
        "source,category,wnid,reviewer\nrows,tabby cat,n02123045,a person\n"
    )
    (tmp_path / "few.yaml").write_text(
        "mlimg: 1\nname: few\nversion: 1.0.0\nsources:\n  rows: {type: table, table: rows.csv, images: images}\n"
        "vocabulary: {mapping: {file: mapping.csv, accept_from: 0.999, unreviewed: drop}}\n"
    )
    made = plan(load_spec(tmp_path / "few.yaml"), tmp_path / "out")
    assert [(one.category, one.reason) for one in made.unused_categories] == [("crane", "unreviewed")]
    assert made.left_out == {"unreviewed": 1}


def test_an_image_of_which_only_a_kind_is_said_to_be_absent_is_left_out_for_that(tmp_path: Path) -> None:
    """Absence of a red bus says nothing about buses: `is_a: use` makes buses of red ones, no absence."""
    (tmp_path / "images").mkdir()
    for name, data in zip("ab", crops("coffee", 2), strict=True):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(data)
    (tmp_path / "classes.csv").write_text("LabelName,DisplayName\n/m/red,Red bus\n")
    (tmp_path / "labels.csv").write_text(
        "ImageID,Source,LabelName,Confidence\na,verification,/m/red,1\nb,verification,/m/red,0\n"
    )
    (tmp_path / "few.yaml").write_text(
        "mlimg: 1\nname: few\nversion: 1.0.0\nsources:\n"
        "  rows: {type: open_images, labels: labels.csv, classes: classes.csv, images: images}\n"
        "vocabulary: {mapping: {is_a: use}}\n"
    )
    made = plan(load_spec(tmp_path / "few.yaml"), tmp_path / "out")
    assert made.left_out == {"absence_of_kind": 1}
    path = written(made, tmp_path)
    assert path is not None
    with path.open(newline="") as stream:
        assert [(row["image"], row["reason"]) for row in csv.DictReader(stream)] == [
            ("rows/b", "absence_of_kind")
        ]


def test_many_images_are_listed_in_parquet_and_the_older_list_goes(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written(made, tmp_path)
    assert before is not None
    with before.open(newline="") as stream:
        listed = [(row["image"], row["reason"]) for row in csv.DictReader(stream)]
    monkeypatch.setattr(left_out, "CSV_ROWS", 3)
    monkeypatch.setattr(left_out, "BLOCK", 4)
    path = written(made, tmp_path)
    assert path == tmp_path / "few.left-out.parquet"
    assert not before.exists()
    assert [(row["image"], row["reason"]) for row in pq.read_table(path).to_pylist()] == listed
    assert write_left_out(made.loaded.spec, made.inputs.catalogs, made.facts, 0, tmp_path, "few") is None
    assert not path.exists()


def test_the_reasons_are_a_closed_table(made: Plan) -> None:
    assert [*REASONS][: len(CATEGORY_REASONS)] == [*CATEGORY_REASONS]
    plain = {*FATES} - {
        "used",
        "excluded",
        "rare",
    }  # these two are told apart by what excludes or asks for more
    assert plain <= {*CATEGORY_REASONS}
    codes = reason_codes(made.loaded.spec, made.facts.vocabulary.placed)
    assert {*codes} - {""} <= {*CATEGORY_REASONS}
