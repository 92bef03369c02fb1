"""The corpus of cases: what is said about an image, and every label that it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlimg_build.labels import ABSENT, PRESENT, Hierarchy, from_graph, imply, resolve_contradictions
from mlimg_build.wordnet import NounGraph
from tests.support.label_world import Said, labels_of, replay, said_by, statements

CATEGORIES = {
    "animal": "n00015388",
    "domestic animal": "n01317541",
    "carnivore": "n02075296",
    "canine": "n02083346",
    "dog": "n02084071",
    "corgi": "n02112826",
    "cat": "n02121620",
    "furnishing": "n03405265",
    "furniture": "n03405725",
    "table": "n04379243",
}
NAMES = sorted(CATEGORIES, key=lambda name: CATEGORIES[name])
CASES: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "cases.yaml").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def hierarchy(wordnet: NounGraph) -> Hierarchy:
    return from_graph(wordnet, [CATEGORIES[name] for name in NAMES])


def told(record: int, text: str) -> Said:
    name, word = text.rsplit(" ", 1)
    sure = 1.0 if word in ("present", "absent") else float(word)
    return Said(0, NAMES.index(name), ABSENT if word == "absent" else PRESENT, sure, 0, record)


@pytest.mark.parametrize("case", CASES, ids=[case["claim"].replace(" ", "_") for case in CASES])
def test_case(case: dict[str, Any], hierarchy: Hierarchy) -> None:
    said = [told(record, text) for record, text in enumerate(case["said"])]
    columns = statements(said)
    standing, clashes = resolve_contradictions(columns, hierarchy, case.get("conflicts", "prefer_verified"))
    options = {name: case[name] for name in ("positives", "negatives", "machine_levels") if name in case}
    labels = labels_of(imply(standing, hierarchy, **options))

    words = {PRESENT: "present", ABSENT: "absent"}
    found = {
        NAMES[label.category]: f"{words[label.state]} {label.confidence:.3g} {label.rule} {NAMES[label.via]}"
        for label in labels
    }
    assert found == case["labels"]

    kept = {PRESENT: "presence", ABSENT: "absence", 0: "neither"}
    pairs = [
        f"{NAMES[columns.category[no]]} absent / {NAMES[columns.category[yes]]} present / {kept[wins]}"
        for no, yes, wins in zip(clashes.absent, clashes.present, clashes.kept.tolist(), strict=True)
    ]
    assert sorted(pairs) == sorted(case.get("contradictions", []))
    assert all(replay(label, said_by(columns), hierarchy) == label.state for label in labels)


def test_every_case_says_where_it_comes_from() -> None:
    assert all(case["from"] for case in CASES)
    assert len({case["claim"] for case in CASES}) == len(CASES)
