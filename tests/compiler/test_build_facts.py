"""What a spec says about categories is what happens to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import MlimgError
from mlimg_build.spec import load_spec
from tests.support.photographs import crops

CAT, DOG, TABBY, ANIMAL, POODLE = "n02121620", "n02084071", "n02123045", "n00015388", "n02113335"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders of photographs: cat, tabby, poodle, and one that no noun fits."""
    data = crops("chelsea", 3)
    for name in (CAT, "tabby", "poodle", "grumblewick"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i, image in enumerate(data):
            (tmp_path / "images" / name / f"{i}.jpg").write_bytes(image)
    return tmp_path


def planned(folder: Path, more: str, source: str = "") -> Plan:
    """The plan of a spec with these lines added."""
    path = folder / "spec.yaml"
    path.write_text(
        "mlimg: 1\nname: facts\nversion: 1.0.0\n"
        f"sources:\n  pets:\n    type: folder\n    images: images\n{source}{more}"
    )
    return plan(load_spec(path), folder / "out")


def fates(made: Plan) -> dict[str, tuple[str | None, str]]:
    return {row.decision.id: (row.wnid, row.fate) for row in made.facts.vocabulary.placed}


def test_names_and_ids_become_synsets(folder: Path) -> None:
    made = planned(folder, "")
    assert fates(made) == {
        CAT: (CAT, "used"),
        "tabby": (TABBY, "used"),
        "poodle": (POODLE, "used"),
        "grumblewick": (None, "unresolved"),
    }
    assert [warning.code for warning in made.facts.warnings] == ["unresolved-name", "near-tie"]


def test_what_a_source_excludes_raises_no_doubt(folder: Path) -> None:
    made = planned(folder, "", source="    exclude: [grumblewick, tabby]\n")
    assert fates(made)["tabby"][1] == fates(made)["grumblewick"][1] == "excluded"
    assert made.facts.warnings == ()
    (folder / "images" / "n99999999").mkdir()
    (folder / "images" / "n99999999" / "1.jpg").write_bytes(crops("rocket", 1)[0])
    with pytest.raises(MlimgError):
        planned(folder, "")
    assert fates(planned(folder, "", source="    exclude: [n99999999]\n"))["n99999999"][1] == "excluded"


def test_what_is_below_a_joined_category_implies_what_it_joined(folder: Path) -> None:
    made = planned(folder, f"vocabulary:\n  join: {{{ANIMAL}: [{DOG}]}}\n")
    assert fates(made)["poodle"] == (POODLE, "used")
    other = planned(folder, f"vocabulary:\n  join: {{{CAT}: [{DOG}]}}\n")
    hierarchy, wnids = other.facts.hierarchy, other.facts.vocabulary.wnids
    assert hierarchy.hops[wnids.index(POODLE), wnids.index(CAT)] > 0


def test_an_ancestor_joined_into_its_descendant_makes_no_circle(folder: Path) -> None:
    made = planned(folder, f"vocabulary:\n  join: {{{TABBY}: [{CAT}]}}\n")
    assert fates(made)[CAT] == (TABBY, "used")
    assert CAT not in made.facts.vocabulary.wnids


def test_unreviewed_names_stop_a_build_where_the_spec_says_so(folder: Path) -> None:
    with pytest.raises(MlimgError) as caught:
        planned(folder, "vocabulary: {mapping: {unreviewed: error, unresolved: drop}}\n")
    assert caught.value.code == "unreviewed-name"
    assert "'tabby', 'poodle'" in str(caught.value) or "'poodle', 'tabby'" in str(caught.value)
    made = planned(folder, "vocabulary: {mapping: {unreviewed: drop}}\n")
    assert fates(made)["tabby"][1] == "unreviewed"


def test_parts_beside_a_tree_are_refused(folder: Path) -> None:
    (folder / "tree.txt").write_text(f"0\t{CAT}\t-1\tcat\n1\t{TABBY}\t0\ttabby\n")
    (folder / "parts.csv").write_text("part,whole\n")
    both = "hierarchy: {parents: {tree: tree.txt}, relations: {part_holonym: parts.csv}}\n"
    with pytest.raises(MlimgError) as caught:
        planned(folder, both)
    assert caught.value.code == "tree-and-parts"
    made = planned(folder, "hierarchy: {parents: {tree: tree.txt}}\n")
    assert made.facts.hierarchy.pairs == 1


def test_a_circle_in_a_tree_is_shown_at_its_line(folder: Path) -> None:
    (folder / "tree.txt").write_text(f"0\t{CAT}\t1\tcat\n1\t{TABBY}\t0\ttabby\n")
    with pytest.raises(MlimgError) as caught:
        planned(folder, "hierarchy: {parents: {tree: tree.txt}}\n")
    assert caught.value.code == "cycle"
    assert caught.value.problems[0].place is not None


def test_a_list_of_parts_makes_parts_imply_wholes(folder: Path) -> None:
    wheel, vehicle = "n04574999", "n04576211"  # wheel and wheeled vehicle
    for name in (wheel, vehicle):
        (folder / "images" / name).mkdir()
        (folder / "images" / name / "1.jpg").write_bytes(crops("motorcycle", 1)[0])
    parts = folder / "parts.csv"
    parts.write_text(f"part,whole\n{wheel},{vehicle}\n")
    made = planned(folder, "hierarchy: {relations: {part_holonym: parts.csv}}\n")
    wnids = made.facts.vocabulary.wnids
    assert made.facts.hierarchy.hops[wnids.index(wheel), wnids.index(vehicle)] == 1
    parts.write_text(f"part,whole\n{vehicle},{wheel}\n")
    with pytest.raises(MlimgError) as caught:
        planned(folder, "hierarchy: {relations: {part_holonym: parts.csv}}\n")
    assert caught.value.code == "not-a-part"
    assert caught.value.problems[0].place is not None
    assert caught.value.problems[0].place.line == 2
