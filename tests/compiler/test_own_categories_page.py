"""What docs/own-categories.md shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
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


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    for name, data in zip(FOLDERS, crops("motorcycle", len(FOLDERS), 40), strict=True):
        (tmp_path / "line" / name).mkdir(parents=True)
        (tmp_path / "line" / name / "0.jpg").write_bytes(data)
    return tmp_path


def test_the_factory_of_the_page_first_fails_and_then_builds(line: Path) -> None:
    assert all(f"`{name}`" in PAGE for name in FOLDERS)
    spec, whole = line / "factory.yaml", blocks("yaml")[0]
    spec.write_text(whole.partition("vocabulary:")[0].replace(", classes: factory.classes.csv", ""))
    with pytest.raises(MlimgError) as caught:
        build(load_spec(spec), line / "out", inline())
    (problem,) = caught.value.problems
    assert problem.code == "images-lost"
    assert "put it right in a CSV of folder,name,below" in str(problem.hint)
    spec.write_text(whole)
    (line / "factory.classes.csv").write_text(blocks("csv")[0])
    built = build(load_spec(spec), line / "out", inline())
    with open_dataset(built.dataset) as dataset:
        found = {(label.wnid, label.name) for label in dataset.find("line/misalinged/0").labels}
    assert found == {("own:misaligned", "misaligned"), ("own:defect", "defect")}


def test_the_file_of_the_page_is_its_yaml_and_a_table_of_ids(line: Path) -> None:
    whole, inside = blocks("yaml")
    (line / "factory.classes.csv").write_text(blocks("csv")[0])
    (line / "a.yaml").write_text(whole)
    own = inside.removeprefix("vocabulary:\n")
    (line / "b.yaml").write_text(whole.replace("  own: factory.classes.csv\n", own))
    slugs = re.findall(r"^    (\w+): \{(?:below: (own:defect))?\}$", own, re.MULTILINE)
    table = "".join(f"{slug},,{below}\n" for slug, below in slugs)
    (line / "own.csv").write_text(f"id,name,below\n{table}")
    (line / "c.yaml").write_text(whole.replace("own: factory.classes.csv", "own: own.csv"))
    plans = [plan(load_spec(line / f"{name}.yaml"), line / "out") for name in "abc"]
    assert len({one.facts.digest for one in plans}) == 1
    assert plans[0].graph == plans[1].graph == plans[2].graph


def test_the_page_names_every_key_that_a_flat_vocabulary_refuses() -> None:
    (flat,) = (part for part in PAGE.split("\n- ") if "are errors with a hint" in part)
    assert all(f"`{key}`" in flat for key in (*NEEDS_NOUNS, "hierarchy", "wordnet"))
