"""Two tables of labels without images, for tests of labels: in one of them sea snakes are nearly always in the sea."""

from __future__ import annotations

import csv
from pathlib import Path

from mlimg_build.compiler.lint.mapping_review import write_review
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.dataset import open_dataset
from mlimg_build.spec import LoadedSpec, load_spec

SNAKE, SEA, WATER, DOG, CORGI, ANIMAL = (
    "n01749244", "n09426788", "n09225146", "n02084071", "n02112826", "n00015388"
)  # fmt: skip

SPEC = """\
mlimg: 1
name: sea
version: 1.0.0
sources:
  rows:
    type: table
    table: rows.csv
    images: images
    columns: {confidence: sure}
  plain:
    type: table
    table: plain.csv
    images: images
    columns: {confidence: sure}
vocabulary:
  mapping: {file: mapping.csv}
  include: [n00015388]
annotation:
  unlabelled: keep
  cooccurrence: {learn_from: [rows], min_images: 10}
dataset:
  images_per_shard: 32
"""


def spec(world: Path, old: str = "", new: str = "") -> LoadedSpec:
    text = (world / "sea.yaml").read_text()
    assert old in text
    (world / "edited.yaml").write_text(text.replace(old, new) if old else text)
    return load_spec(world / "edited.yaml")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return [*csv.DictReader(stream)]


def write_mapping(made: Plan, path: Path) -> tuple[int, int]:
    """The decisions of a plan as the file that people review."""
    return write_review(made.loaded.spec, made.facts, made.graph, path)


def state(path: Path, image: str) -> dict[str, tuple[int, float, str]]:
    with open_dataset(path) as dataset:
        return {
            label.wnid: (label.state, round(label.confidence, 4), label.rule)
            for label in dataset.find(image).labels
        }


def make_world(tmp_path: Path) -> Path:
    """Two tables of labels without images: in one, sea snakes are nearly always in the sea."""
    (tmp_path / "images").mkdir()
    rows = ["image,labels,sure"]
    rows += [f"r{i:02}.jpg,{SNAKE}|{SEA},1|1" for i in range(36)]
    rows += [f"r{i:02}.jpg,{SNAKE},1" for i in range(36, 40)]
    rows += [f"r{i:02}.jpg,{DOG},1" for i in range(40, 60)]
    plain = ["image,labels,sure"]
    plain += [f"p{i:02}.jpg,{SNAKE},1" for i in range(10)]
    plain += [f"p{i:02}.jpg,{SNAKE}|{WATER},1|0" for i in range(10, 13)]  # a snake in a box: no water
    plain += [f"p{i:02}.jpg,{SNAKE}|{SEA},1|0" for i in range(13, 15)]
    plain += [f"p{i:02}.jpg,corgi,1" for i in range(15, 20)]
    plain += [f"p{i:02}.jpg,corgi,0" for i in range(20, 25)]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "plain.csv").write_text("\n".join(plain) + "\n")
    (tmp_path / "mapping.csv").write_text("source,category,wnid,relation,reviewer\n")
    (tmp_path / "sea.yaml").write_text(SPEC)
    return tmp_path
