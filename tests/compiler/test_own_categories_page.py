"""What docs/own-categories.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build, plan
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.spec import load_spec
from mlimg_build.spec.cross_checks import NEEDS_NOUNS
from tests.support.photographs import crops
from tests.support.runs import inline

PAGE = (Path(__file__).parents[2] / "docs" / "own-categories.md").read_text(encoding="utf-8")
FOLDERS = (
    "scratch",
    "misalinged",
    "solder bridge",
    "Tombstoning",
    "missing_part",
    "ok",
    "cold-joint",
    "void",
)


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def line(tmp_path: Path) -> Path:
    for name, data in zip(FOLDERS, crops("motorcycle", len(FOLDERS), 40), strict=True):
        (tmp_path / "line" / name).mkdir(parents=True)
        (tmp_path / "line" / name / "0.jpg").write_bytes(data)
    return tmp_path


def test_the_factory_of_the_page_first_fails_and_then_builds(line: Path) -> None:
    assert all(f"`{name}`" in PAGE for name in FOLDERS)
    spec = line / "factory.yaml"
    spec.write_text(block("yaml").partition("vocabulary:")[0])
    with pytest.raises(MlimgError) as caught:
        build(load_spec(spec), line / "out", inline())
    assert caught.value.problems[0].code == "images-lost"
    spec.write_text(block("yaml"))
    built = build(load_spec(spec), line / "out", inline())
    with open_dataset(built.dataset) as dataset:
        found = {label.wnid for label in dataset.find("line/misalinged/0").labels}
    assert found == {"own:misaligned", "own:defect"}


def test_the_csv_of_the_page_is_its_yaml(line: Path) -> None:
    (line / "own.csv").write_text(block("csv"))
    (line / "a.yaml").write_text(block("yaml"))
    head, _, rest = block("yaml").partition("  own:\n")
    (line / "b.yaml").write_text(f"{head}  own: own.csv\n{rest[rest.index('  include') :]}")
    inside, outside = (plan(load_spec(line / name), line / "out") for name in ("a.yaml", "b.yaml"))
    assert inside.graph == outside.graph
    assert inside.facts.digest == outside.facts.digest


def test_the_page_names_every_key_that_a_flat_vocabulary_refuses() -> None:
    (flat,) = (part for part in PAGE.split("\n- ") if "are errors with a hint" in part)
    assert all(f"`{key}`" in flat for key in (*NEEDS_NOUNS, "hierarchy", "wordnet"))
