"""From a list to labels: what a machine wrote is no fact, and a zero byte costs its row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import SourceError
from mlimg_build.explain.image_labels import explain
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline

DOG, ANIMAL = "n02084071", "n00015388"
BELOW = float(np.nextafter(np.float32(1), np.float32(0)))


def built(folder: Path, rows: str, more: str = "") -> Built:
    """A dataset of the photographs p0 to p9 with the rows of an Open Images list."""
    (folder / "images").mkdir(exist_ok=True)
    for i, data in enumerate(crops("chelsea", 10)):
        (folder / f"images/p{i}.jpg").write_bytes(data)
    (folder / "labels.csv").write_bytes(f"ImageID,Source,LabelName,Confidence\n{rows}".encode())
    (folder / "classes.csv").write_text("/m/dog,Dog\n/m/animal,Animal\n")
    (folder / "spec.yaml").write_text(
        "mlimg: 1\nname: sure\nversion: 1.0.0\nsources:\n  o:\n    type: open_images\n    images: images\n"
        f"    labels: labels.csv\n    classes: classes.csv\n{more}"
        "split: {validation: 0}\nvocabulary: {mapping: {file: mapping.csv}}\n"
    )
    (folder / "mapping.csv").write_text(f"source,category,wnid\no,/m/dog,{DOG}\no,/m/animal,{ANIMAL}\n")
    return build(load_spec(folder / "spec.yaml"), folder / "out", inline())


def labels(found: Built) -> dict[str, dict[str, tuple[int, float]]]:
    with open_dataset(found.dataset) as dataset:
        return {
            image.id.removeprefix("o/"): {
                label.wnid: (label.state, label.confidence) for label in image.labels
            }
            for image in dataset["train"]
        }


def test_what_rounds_to_a_fact_is_none_and_what_is_below_the_threshold_stays_below(tmp_path: Path) -> None:
    rows = "p0,machine,/m/dog,0.99999999\np1,machine,/m/animal,1e-50\np2,machine,/m/dog,1.00000001\n"
    rows += "p3,machine,/m/dog,0.79999999\np4,machine,/m/dog,0.8\np5,human,/m/dog,1\np6,human,/m/animal,0\n"
    rows += "p7,machine,/m/dog,1\np8,machine,/m/animal,0\n"
    found = built(tmp_path, rows, "    min_confidence: 0.8\n")
    said = labels(found)
    assert said["p0"] == {DOG: (1, BELOW), ANIMAL: (1, BELOW)}
    assert said["p4"][DOG] == (1, pytest.approx(0.8))
    assert said["p5"] == {DOG: (1, 1), ANIMAL: (1, 1)}
    assert said["p6"] == {DOG: (-1, 1), ANIMAL: (-1, 1)}
    assert said["p7"] == {DOG: (1, BELOW), ANIMAL: (1, BELOW)}
    assert {*said} == {"p0", "p4", "p5", "p6", "p7"}
    (dog, _) = sorted(explain(found.dataset, "p7")["labels"], key=lambda label: label["wnid"] != DOG)
    assert 0 < dog["confidence"] < 1
    assert "(by a machine, 0.9999999)" in dog["chain"][0]["text"]


def test_the_smallest_fraction_is_present_and_denies_nothing(tmp_path: Path) -> None:
    said = labels(built(tmp_path, "p0,machine,/m/animal,1e-50\np1,machine,/m/dog,1e-400\n"))
    assert [state for states in said.values() for state, _ in states.values()] == [1, 1, 1]
    assert all(0 < confidence < 1e-40 for states in said.values() for _, confidence in states.values())


def test_a_zero_byte_in_a_list_costs_its_row_and_not_the_build(tmp_path: Path) -> None:
    found = built(tmp_path, "p0,human,/m/dog,1\np1,human,/m/d\0og,1\np2,human,/m/dog,1\n")
    assert {*labels(found)} == {"p0", "p2"}
    assert "o,zero-byte,1,labels.csv:3" in (tmp_path / "out/sure.passed-over.csv").read_text()


def test_a_list_in_utf_16_is_told_as_such_before_anything_is_built(tmp_path: Path) -> None:
    built(tmp_path, "p0,human,/m/dog,1\n")
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_bytes(text.encode("utf-16"))
    with pytest.raises(SourceError, match=r"it is text in UTF-16: .*labels\.csv"):
        plan(load_spec(tmp_path / "spec.yaml"), tmp_path / "out")
