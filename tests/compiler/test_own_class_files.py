"""One CSV of folder, name and below is read as a source's classes and as the own categories of a spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.compiler.facts.own_categories import with_own_categories
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import MlimgError, SourceError
from mlimg_build.sources.lists.class_names import class_descriptions
from mlimg_build.spec import load_spec
from mlimg_build.wordnet import load
from tests.support.photographs import crops


def spec(root: Path, rows: str, classes: bool = True) -> Path:
    for name, data in zip(("scrach", "scratch", "ok"), crops("chelsea", 3, 32), strict=True):
        (root / "pics" / name).mkdir(parents=True)
        (root / "pics" / name / "0.jpg").write_bytes(data)
    (root / "c.csv").write_text(rows)
    named = ", classes: c.csv" if classes else ""
    (root / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
        f"  s: {{type: folder, images: pics{named}}}\nvocabulary: {{own: c.csv}}\n"
    )
    return root / "x.yaml"


def placed(root: Path, rows: str, classes: bool = True) -> dict[str, str | None]:
    made = plan(load_spec(spec(root, rows, classes)), root / "out")
    return {row.decision.id: row.wnid for row in made.facts.vocabulary.placed}


def test_rows_of_one_name_are_one_category_below_all_that_they_say(tmp_path: Path) -> None:
    rows = (
        "folder,name,below\nscrach,scratch,own:defect\nscratch,Scratch,own:mark\nok,ok,\n,defect,\n,mark,\n"
    )
    graph = with_own_categories(load_spec(spec(tmp_path, rows)), load())
    assert set(graph.ancestors("own:scratch")) == {"own:defect", "own:mark"}
    assert graph.name("own:scratch") == "scratch"


def test_every_folder_has_the_category_of_its_name(tmp_path: Path) -> None:
    found = placed(tmp_path, "folder,name,below\nscrach,scratch,\nscratch,scratch,\nok,n02084071,\n")
    assert found == {"scrach": "own:scratch", "scratch": "own:scratch", "ok": "n02084071"}


def test_a_file_of_few_folders_is_no_warning_and_one_of_none_an_error(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    made = plan(load_spec(spec(tmp_path / "one", "folder,name,below\nscrach,scratch,\n")), tmp_path / "out")
    assert "classes-not-found" not in [problem.code for problem in made.warnings]
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(spec(tmp_path / "two", "folder,name,below\nSCRACH,scratch,\n")), tmp_path / "out")
    assert caught.value.code == "classes-not-found"


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        ("folder,name,below\nok,ok,\nscratch,!?,\n", "own-id", 3),
        ("folder,name,below\nok,a/b,\nscratch,a b,\n", "own-collision", 3),
        ("folder,name,below\nok,ok,own:nothing\n", "unknown-synset", 2),
        ("folder,name,below\nok,ok\n", "row-width", 2),
        ("folder,name,below\nok,a,own:b\nscratch,b,own:a\n", "cycle", 2),
    ],
)
def test_what_is_wrong_is_told_at_its_line(tmp_path: Path, rows: str, code: str, line: int) -> None:
    with pytest.raises(MlimgError) as caught:
        with_own_categories(load_spec(spec(tmp_path, rows, classes=False)), load())
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.place is not None
    assert problem.place.line == line


def test_rows_without_an_id_are_left_to_own_only_where_the_file_has_below(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text("folder,name,below\n,defect,\nscrach,scratch,own:defect\n")
    assert class_descriptions(path, "the classes") == [("scrach", "scratch")]
    path.write_text("folder,name\n,defect\nscrach,scratch\n")
    with pytest.raises(SourceError, match="'defect' has no id"):
        class_descriptions(path, "the classes")
