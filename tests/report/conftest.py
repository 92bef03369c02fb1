"""Two small datasets: one with everything that can be told, in names that mean harm, and one with next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.spec import load_spec
from tests.support.html_page import EVIL
from tests.support.photographs import crops
from tests.support.runs import inline

SPEC = """\
# </pre></details><script>alert("spec")</script>
mlimg: 1
name: everything
version: 1.0.0
description: '</title><script>alert("description")</script> & more'
sources:
  synsets:
    type: imagenet
    images: synsets
    licence: '"><b>CC0</b>'
  crowd:
    type: open_images
    images: crowd/images
    labels: crowd/labels.csv
    classes: crowd/classes.csv
    min_confidence: 0.8
vocabulary:
  ancestors: common
split:
  validation: 0.25
dataset:
  images_per_shard: 16
"""
NEXT_TO_NOTHING = """\
mlimg: 1
name: plain
version: 0.1.0
sources:
  cats:
    type: imagenet
    images: synsets
"""
TOGETHER = """\
mlimg: 1
name: together
version: 0.1.0
sources:
  rows: {type: table, table: rows.csv, images: images, columns: {image: file, labels: labels}, separator: "; "}
vocabulary:
  mapping: {file: map.csv}
annotation:
  cooccurrence: {learn_from: [rows], min_images: 5}
split: {validation: 0.25}
"""
CLASSES = [
    ("/m/moto", "Motorcycle"),
    ("/m/animal", "Animal"),
    ("/m/cat", "Cat"),
    (f"/m/{EVIL}", "</script><script>alert(2)</script>"),
]


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with two splits, merges, absences, a machine, contradictions, failures, left out and passed over."""
    root = tmp_path_factory.mktemp("everything")
    (root / "everything.yaml").write_text(SPEC)
    for wnid, photograph in (("n02121620", "chelsea"), ("n03790512", "motorcycle")):
        folder = root / "synsets" / wnid
        folder.mkdir(parents=True)
        for i, data in enumerate(crops(photograph, 14)):
            (folder / f"{wnid}_{i}.JPEG").write_bytes(data)
    images = root / "crowd" / "images"
    images.mkdir(parents=True)
    rows = ["ImageID,Source,LabelName,Confidence"]
    for i, data in enumerate(crops("motorcycle", 20)):
        (images / f"m{i:02}.jpg").write_bytes(data if i != 3 else data[: len(data) // 2])
        rows += [f"m{i:02},verification,/m/moto,1", f"m{i:02},verification,/m/animal,0"]
        rows += [f"m{i:02},machine,/m/cat,{0.9 if i % 8 == 0 else 0.3}"] * (i % 4 == 0)
    (images / f"{EVIL}.jpg").write_bytes(crops("chelsea", 21)[20])
    (images / "unlabelled.jpg").write_bytes(crops("coffee", 1)[0])
    rows += [
        f"{EVIL},verification,/m/cat,1",
        f"{EVIL},verification,/m/{EVIL},1",
        "nowhere,verification,/m/cat,1",
    ]
    rows += [f"{EVIL},machine,/m/moto,0.85", f"unlabelled,verification,/m/{EVIL},1"]
    (root / "crowd" / "labels.csv").write_text("\n".join(rows) + "\n")
    classes = "".join(f"{key},{name}\n" for key, name in CLASSES)
    (root / "crowd" / "classes.csv").write_text(f"LabelName,DisplayName\n{classes}")
    return build(load_spec(root / "everything.yaml"), root / "out", inline()).dataset


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one category: no validation, failure, absence, implication or contradiction."""
    root = tmp_path_factory.mktemp("plain")
    (root / "plain.yaml").write_text(NEXT_TO_NOTHING)
    folder = root / "synsets" / "n02121620"
    folder.mkdir(parents=True)
    for i, data in enumerate(crops("chelsea", 3)):
        (folder / f"n02121620_{i}.JPEG").write_bytes(data)
    return build(load_spec(root / "plain.yaml"), root / "out", inline()).dataset


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with one pair of categories that adds labels to five images, and doubtful pairs that add none."""
    root = tmp_path_factory.mktemp("together")
    (root / "together.yaml").write_text(TOGETHER)
    (root / "images").mkdir()
    said = ["motorcycle; goggles"] * 25 + ["motorcycle"] * 3 + ["cat"] + ["animal; mug"] * 20
    rows = [f"{i}.jpg,{labels}" for i, labels in enumerate(said)]
    (root / "rows.csv").write_text("\n".join(["file,labels", *rows]) + "\n")
    names = {"motorcycle": "n03790512", "goggles": "n03443912", "cat": "n02121620", "animal": "n00015388"}
    (root / "map.csv").write_text(
        "source,category,wnid,reviewer\n"
        + "".join(f"rows,{name},{wnid},a person\n" for name, wnid in {**names, "mug": "n03797390"}.items())
    )
    for i, data in enumerate(crops("motorcycle", len(said))):
        (root / "images" / f"{i}.jpg").write_bytes(data)
    return build(load_spec(root / "together.yaml"), root / "out", inline()).dataset


@pytest.fixture(scope="session")
def page(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page about `everything`, without a model."""
    to = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(everything, to).read_text()
