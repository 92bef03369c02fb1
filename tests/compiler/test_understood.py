"""What was understood of a source is shown: rows, columns, splits, files, examples with synsets, what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.facts.category_groups import NestingUse
from mlimg_build.compiler.plan_stage import understand
from mlimg_build.compiler.source_columns import source_columns
from mlimg_build.compiler.understood import EXAMPLES, LABELS, Understood
from mlimg_build.spec import load_spec, parse_spec
from mlimg_build.spec.models.sources import TYPES
from mlimg_build.terminal import show_understood
from tests.support.photographs import crops

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"


def of(root: Path, source: str) -> Understood:
    (root / "x.yaml").write_text(f"{HEAD}  s: {source}\nvocabulary: {{mapping: {{unresolved: drop}}}}\n")
    return understand(load_spec(root / "x.yaml"), root / "out").sources["s"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for number, data in enumerate(crops("chelsea", 3, 32)):
        (tmp_path / "img" / f"{number}.jpg").write_bytes(data)
    rows = [
        "0.jpg,dog|quuxel,0.8|0.5,train",
        "1.jpg,cat,0,val",
        "2.jpg,dog,1,train",
        "9.jpg,cat,1,",
        "9.jpg,cat,7,",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["path,tags,score,part", *rows, ""]))
    return tmp_path


COLUMNS = "{image: path, labels: tags, confidence: score, split: part}"
SOURCE = f"{{type: table, table: t.csv, images: img, columns: {COLUMNS}}}"


def test_a_table_is_told_by_its_columns_and_its_counts(table: Path) -> None:
    found = of(table, SOURCE)
    assert (found.images, found.present, found.absent, found.by_machines) == (4, 4, 1, 2)
    assert dict(found.columns)["tags"] == "its labels"
    assert dict(found.columns)["part"] == "its split"
    assert found.splits == {"": 1, "train": 2, "validation": 1}
    assert found.met == 3
    assert found.statuses == {"missing": 1}
    assert ("bad-confidence", 1) in [(what, count) for what, count, *_ in found.left_out]
    assert any(what == "1 category" and "no synset" in why for what, _, why, _ in found.left_out)


def test_an_example_goes_from_the_row_to_the_synset_with_its_score(table: Path) -> None:
    examples = {image.name: image for image in of(table, SOURCE).examples}
    dog, quuxel = examples["0.jpg"].labels
    assert examples["0.jpg"].row == "t.csv:2"
    assert (dog.category, dog.wnid, dog.name, dog.present, dog.confidence) == (
        "dog",
        "n02084071",
        "dog",
        True,
        0.8,
    )
    assert 0.5 < dog.score <= 1
    assert (quuxel.wnid, quuxel.fate) == (None, "unresolved")
    assert examples["1.jpg"].labels[0].present is False
    assert examples["9.jpg"].status == "missing"


def test_examples_are_few_and_long_ones_are_counted(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    labels = ["dog", "cat", "horse", "tench", "apple", "car", "bus", "tree", "house"]
    rows = [f"{i}.jpg,{'|'.join(labels)}" for i in range(200)]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels", *rows, ""]))
    (tmp_path / "img" / "0.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    found = of(tmp_path, "{type: table, table: t.csv, images: img}")
    assert len(found.examples) == EXAMPLES
    assert {len(image.labels) for image in found.examples} == {LABELS}
    assert {image.more for image in found.examples} == {len(labels) - LABELS}


TREE = {
    "name": "Entity",
    "children": [
        {"name": "Plumbing fixture", "children": [{"name": "Toilet"}]},
        {"name": "Toy", "children": [{"name": "Kite"}]},
        {"name": "Dog"},
    ],
}


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "1.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    (tmp_path / "classes.csv").write_text("/m/1,Toilet\n/m/2,Kite\n/m/3,Dog\n/m/4,Toy\n/m/5,Cat\n")
    rows = [f"1,verification,/m/{number},1" for number in (1, 2, 3, 5)]
    (tmp_path / "rows.csv").write_text("\n".join(["ImageID,Source,LabelName,Confidence", *rows, ""]))
    (tmp_path / "tree.json").write_text(json.dumps(TREE))
    return tmp_path


NESTED = "{type: open_images, images: img, labels: [rows.csv], classes: classes.csv, hierarchy: tree.json}"


def test_what_a_hierarchy_puts_above_a_category_tells_its_senses_apart_without_labels(nested: Path) -> None:
    (image,) = of(nested, NESTED).examples
    assert [(label.category, label.wnid) for label in image.labels] == [
        ("Toilet", "n04446521"),  # below a node that is no class: the fixture, not the room
        ("Kite", "n03621473"),  # below a class that no label names: the toy, not the hawk
        ("Dog", "n02084071"),
        ("Cat", "n02121620"),
    ]
    assert [label.score > 0.7 for label in image.labels[:2]] == [True, True]


def test_how_many_categories_a_hierarchy_helps_is_told(
    nested: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert of(nested, NESTED).hierarchy == NestingUse(4, 2, 6, 0), "the top of WordNet helps nothing"
    assert run(["plan", str(nested / "x.yaml"), "-o", str(nested / "out"), "-q"]) == 0
    assert "  hierarchy 2 of 4 categories have a parent that helps\n" in capsys.readouterr().out
    (nested / "tree.json").write_text(
        json.dumps({"LabelName": "/m/9", "Subcategory": [{"LabelName": "/m/1"}]})
    )
    assert of(nested, NESTED).hierarchy == NestingUse(4, 0, 2, 1)
    assert run(["check", "--deep", str(nested / "x.yaml"), "-o", str(nested / "out"), "-q"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "hierarchy 0 of 4 categories have a parent that helps; 1 node that tells nothing" in said
    assert "are its 2 nodes the classes of `classes`?" in said


def test_what_is_left_out_counts_labels_where_an_image_has_several(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    (tmp_path / "t.csv").write_text("image,labels\na.jpg,quuxel|zorblish|dog\n")
    found = of(tmp_path, "{type: table, table: t.csv, images: .}")
    assert [(what, count) for what, count, *_ in found.left_out] == [("2 categories", 2)]
    show_understood({"s": found})
    assert "2 categories with 2 labels: no synset fits their name" in capsys.readouterr().out


def test_images_and_categories_without_any_label_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "img").mkdir()
    for name, data in zip("abc", crops("chelsea", 3, 32), strict=True):
        (tmp_path / "img" / f"{name}.jpg").write_bytes(data)
    images = [{"id": i, "file_name": f"{name}.jpg"} for i, name in enumerate("abc")]
    names = [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "car"))]
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "mlimg: 1\nname: s\nversion: 1.0.0\nannotation: {unlabelled: keep}\n"
        "sources:\n  s: {type: coco, images: img, annotations: [a.json]}\n"
    )
    boxes = [{"id": i, "image_id": 0, "category_id": 0, "bbox": [1, 1, 9, 9]} for i in range(2)]
    (tmp_path / "a.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": names})
    )
    for verb in (["plan"], ["check", "--deep"]):
        assert run([*verb, str(spec), "--out", str(tmp_path / "out"), "-q"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "; 2 images without a label" in shown
        assert "no label 2 categories: dog, car" in shown


def test_a_source_put_into_one_split_says_so(tmp_path: Path) -> None:
    (tmp_path / "img" / "dog").mkdir(parents=True)
    (tmp_path / "img" / "dog" / "a.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    found = of(tmp_path, "{type: folder, images: img, split: validation}")
    assert found.splits == {"validation": 1}
    assert found.columns == (("folder", "the category of the images in it"),)


@pytest.mark.parametrize("verb", [["plan"], ["check", "--deep"]])
def test_plan_and_check_show_it(table: Path, verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    of(table, SOURCE)
    arguments = [*verb, f"{table}/x.yaml", "--out", f"{table}/out"]
    assert run(arguments) == 0
    said = capsys.readouterr().out
    assert "s (table) was understood as" in said
    assert "  example   0.jpg, t.csv:2\n" in said
    assert "→ dog 0.8: dog n02084071, score" in said
    assert "quuxel 0.5: not used (unresolved)" in said
    assert "3 images met a file (75.0 %); 1 missing" in said
    assert all(line == line.rstrip() for line in said[said.index("was understood") :].splitlines())
    assert run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["understood"]["s"]
    assert told["splits"] == {"": 1, "train": 2, "validation": 1}


TYPED = {
    "folder": "images: i",
    "imagenet": "images: i",
    "ilsvrc": "images: i, labels: l.txt",
    "open_images": "images: i, labels: [l.csv], classes: c.csv",
    "ml_images": "lists: [l.txt], dictionary: d.txt",
    "table": "table: t.csv, images: i, columns: {labels: {all_but: [age]}}",
    "coco": "annotations: [a.json]",
    "parquet": "images: d",
    "webdataset": "tars: a.tar, fields: {labels: tags, split: part}",
}


def columns(kind: str, keys: str) -> dict[str, str]:
    loaded = parse_spec(f"{HEAD}  s: {{type: {kind}, {keys}}}\n", "x.yaml", Path("/x"), {})
    return dict(source_columns(loaded.spec.sources["s"]))


def test_every_type_of_source_says_what_it_reads() -> None:
    assert TYPED.keys() == {*TYPES}
    for kind, keys in TYPED.items():
        assert columns(kind, keys), kind


def test_columns_are_told_by_what_they_mean_there() -> None:
    assert columns("parquet", "images: d")["image"] == "the bytes of the image"
    table = columns("table", TYPED["table"])
    assert table["all columns but age"] == "a category each: 1 present, 0 absent, empty unknown"
    more = "table: t.csv, images: i, columns: {labels: [a, b]}, values: {yes: present, no: absent}"
    assert columns("table", more)["a, b"] == "a category each: yes present, no absent"
    samples = columns("webdataset", TYPED["webdataset"])
    assert samples["tags of KEY.json"] == "its labels"
    assert samples["part of KEY.json"] == "its split"
    assert "KEY.cls" not in samples
    assert columns("webdataset", "tars: a.tar")["KEY.cls"] == "its label"
