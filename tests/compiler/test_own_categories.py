"""Own categories through a whole build: the factory's folders, CSVs and their damage, and every command after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mlimg_build.compiler.build_result import Built
from mlimg_build.compiler.diff.loading import side_of_dataset
from mlimg_build.compiler.facts.preflight import check_mapping, load_nouns
from mlimg_build.compiler.lint.mapping_review import review_rows
from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.lock_stage import check_lock, lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError, Problem, SpecError
from mlimg_build.explain.category_origin import describe_category
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.explain.label_proofs import prove_labels
from mlimg_build.spec import load_spec, render
from tests.support.photographs import crops
from tests.support.runs import inline

DOG, BRIDGE = "n02084071", "n02898711"
DEFECTS = {
    "scratch": 2,
    "misalinged": 3,
    "solder bridge": 2,
    "Tombstoning": 1,
    "missing_part": 2,
    "ok": 2,
    "cold-joint": 1,
    "void": 1,
}
HEAD = "mlimg: 1\nname: factory\nversion: 1.0.0\nsources:\n  line: {type: folder, images: line}\n"
OWN = f"""\
vocabulary:
  own:
    defect: {{}}
    scratch: {{below: own:defect}}
    Misaligned: {{name: misalinged, below: [own:Defect]}}
    solder_bridge: {{below: [own:defect, {BRIDGE}]}}
    tombstoning: {{below: own:defect}}
    missing_part: {{below: own:defect}}
    ok: {{name: OK}}
    cold_joint: {{below: own:defect}}
    void: {{below: own:defect}}
  include: [own:DEFECT]
"""


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight folders of defect classes, as people name them."""
    root = tmp_path_factory.mktemp("factory")
    pictures = iter(crops("motorcycle", sum(DEFECTS.values()), 40))
    for name, count in DEFECTS.items():
        (root / "line" / name).mkdir(parents=True)
        for i, data in zip(range(count), pictures, strict=False):
            (root / "line" / name / f"{i}.jpg").write_bytes(data)
    return root


Write = Callable[..., Path]


@pytest.fixture
def spec(factory: Path, tmp_path: Path) -> Write:
    def write(rest: str, **files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        path = tmp_path / "factory.yaml"
        path.write_text(HEAD.replace("images: line", f"images: {factory / 'line'}") + rest, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def built(factory: Path) -> Built:
    (factory / "factory.yaml").write_text(HEAD + OWN)
    return build(load_spec(factory / "factory.yaml"), factory / "out", inline())


def refused(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(MlimgError) as caught:
        load_nouns(load_spec(path))
    return caught.value.problems


def codes(path: Path) -> list[str]:
    return [problem.code for problem in refused(path)]


def test_the_first_build_of_a_factory_says_what_to_write_and_what_it_says_builds(spec: Write) -> None:
    path = spec("")
    with pytest.raises(MlimgError) as caught:
        build(load_spec(path), path.parent / "out", inline())
    (problem,) = caught.value.problems
    assert problem.code == "images-lost"
    assert problem.place is not None
    assert problem.place.line == 5
    assert "12 of 14 images (85.7 %, and allow_lost is 5.0 %)" in problem.message
    assert "'misalinged' (3 images: no noun of WordNet has this name)" in problem.message
    assert not (path.parent / "out" / "factory.zarr").exists()
    shown = render(problem, lambda file: None).splitlines()
    lines = shown[shown.index("  vocabulary:") : shown.index("  vocabulary:") + 2 + 7]
    written = "\n".join(line[2:] for line in lines)
    assert {*yaml.safe_load(written)["vocabulary"]["own"]} == {
        *("misalinged", "missing_part", "ok", "solder_bridge", "tombstoning", "cold-joint", "void")
    }
    after = build(load_spec(spec(f"{written}\n")), path.parent / "out", inline())
    assert after.images == 14
    with open_dataset(after.dataset) as dataset:
        assert dataset.find("line/misalinged/0").labels[0].wnid == "own:misalinged"


def test_presence_climbs_to_what_an_own_category_lies_below(built: Built) -> None:
    with open_dataset(built.dataset) as dataset:
        assert dataset.categories.wnid == sorted(dataset.categories.wnid)
        assert "own:misaligned" in dataset.categories.wnid
        labels = {label.wnid: label.rule for label in dataset.find("line/solder bridge/0").labels}
        assert labels == {"own:solder_bridge": "stated", "own:defect": "ancestors"}
        assert [label.wnid for label in dataset.find("line/ok/1").labels] == ["own:ok"]


def test_why_names_the_line_that_declares_a_category(built: Built) -> None:
    with open_dataset(built.dataset) as dataset:
        (label,) = (
            one for one in explain_in(dataset, "line/misalinged/0", None)["labels"] if one["rule"] == "stated"
        )
        mapping = next(step for step in label["chain"] if step["step"] == "mapping")
        assert mapping["place"] == "factory.yaml:10"
        assert "by its name, that of an own category" in mapping["text"]
        (one,) = describe_category(dataset, "own:Misaligned")["categories"]
        assert one["own"] == "factory.yaml:10"
        assert one["above"] == ["defect own:defect"]


def test_every_label_and_digest_is_proved(built: Built) -> None:
    assert not prove_labels(built.dataset).flaws
    with open_dataset(built.dataset) as dataset:
        assert dataset.attributes["own"]["categories"] == 9
        assert dataset.attributes["wordnet"]["release"] == "3.0"
        assert side_of_dataset(dataset, "now").head["own categories"].startswith("9 ")


def test_the_lock_has_own_ids_and_is_up_to_date(built: Built, factory: Path) -> None:
    locked = read_lock(built.lock)
    rows = {row["category"]: row for row in locked.tables["mappings.csv"]}
    assert rows["misalinged"]["wnid"] == "own:misaligned"
    assert {row["method"] for row in rows.values()} == {"own"}
    assert {row["wnid"] for row in locked.tables["categories.csv"]} >= {"own:defect", "own:ok"}
    check_lock(load_spec(factory / "factory.yaml"), factory / "out", built.lock, inline())


def test_the_report_names_own_categories(built: Built, tmp_path: Path) -> None:
    page = write_report(built.dataset, tmp_path / "page.html").read_text()
    assert "own:misaligned" in page
    assert "own categories" in page


def test_a_rerun_has_nothing_to_do_and_another_place_is_other_labels(built: Built, factory: Path) -> None:
    again = build(load_spec(factory / "factory.yaml"), factory / "out", inline())
    assert (again.digest, again.read) == (built.digest, 0)
    (factory / "moved.yaml").write_text(HEAD + OWN.replace("scratch: {below: own:defect}", "scratch: {}"))
    moved = build(load_spec(factory / "moved.yaml"), factory / "out", inline())
    assert moved.read == 0
    assert moved.digest != built.digest
    build(load_spec(factory / "factory.yaml"), factory / "out", inline())


def test_names_of_own_categories_need_no_review(built: Built, factory: Path) -> None:
    made = plan(load_spec(factory / "factory.yaml"), factory / "out")
    assert review_rows(made.loaded.spec, made.facts, made.graph) == []
    assert [row.decision.method for row in made.facts.vocabulary.placed] == ["own"] * 8


def test_a_csv_is_the_same_as_the_spec(built: Built, spec: Write) -> None:
    rows = [
        "id,name,below,note",
        "defect,,,what the line calls bad",
        "own:scratch,scratch,own:defect,",
        "Misaligned,misalinged,own:DEFECT,",
        f"solder_bridge,,own:defect {BRIDGE},",
        "tombstoning,,own:defect,",
        "missing_part,missing part,own:defect,",
        "ok,OK,,",
        "cold_joint,,own:defect,",
        "void,void,own:defect,",
    ]
    path = spec("vocabulary: {own: own.csv, include: [own:defect]}\n", own="\n".join(rows) + "\n")
    made = build(load_spec(path), path.parent / "out", inline())
    locked, inside = read_lock(made.lock), read_lock(built.lock)
    assert locked.head["own"] == inside.head["own"]
    assert locked.tables["categories.csv"] == inside.tables["categories.csv"]
    assert "vocabulary.own" in locked.head["files"]


def test_join_exclude_and_a_signed_row_take_own_ids(spec: Write) -> None:
    rest = (
        OWN.replace("include: [own:DEFECT]", "exclude_below: [own:Defect]\n  exclude: own.csv")
        + "  join: {own:Ok: [n02084071]}\n  mapping: {file: map.csv}\n  allow_lost: 0\n"
    )
    signed = f"source,category,wnid\nline,void,{DOG}\nline,scratch,Own:OK\n"
    path = spec(rest, own="own:OK  # not this one\n", map=signed)
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(path), path.parent / "out")
    assert caught.value.problems[0].code == "no-category"
    path = spec(rest.replace("exclude: own.csv", "exclude: []"), map=signed)
    assert [*check_mapping(load_spec(path), load_nouns(load_spec(path)))] == []  # type: ignore[arg-type]
    placed = plan(load_spec(path), path.parent / "out").facts.vocabulary.placed
    found = {row.decision.id: (row.wnid, row.fate) for row in placed}
    assert found["void"] == found["ok"] == found["scratch"] == ("own:ok", "used")
    assert found["misalinged"] == ("own:misaligned", "excluded")


def test_a_row_of_the_mapping_file_with_an_unknown_own_id_names_near_ones(spec: Write) -> None:
    path = spec(OWN + "  mapping: {file: map.csv}\n", map="source,category,wnid\nline,void,own:misalignd\n")
    with pytest.raises(SpecError) as caught:
        plan(load_spec(path), path.parent / "out")
    (problem,) = caught.value.problems
    assert problem.code == "unknown-synset"
    assert "own:misaligned" in str(problem.hint)


def test_a_tree_from_a_file_holds_own_categories_below_its_nouns(spec: Write) -> None:
    tree = f"index\twnid\tparent\tname\n0\t{BRIDGE}\t-1\tbridge\n"
    (spec("").parent / "tree.txt").write_text(
        "category_index\tcategory_id\tindex_of_parent_category\tcategory name\n" + tree.split("\n", 1)[1]
    )
    path = spec(
        OWN.replace("include: [own:DEFECT]", f"include: [{BRIDGE}]")
        + "hierarchy: {parents: {tree: tree.txt}}\n"
    )
    made = plan(load_spec(path), path.parent / "out")
    wnids, parents = made.facts.vocabulary.wnids, made.facts.hierarchy.parents
    assert parents[wnids.index("own:solder_bridge"), wnids.index(BRIDGE)]


@pytest.mark.parametrize(
    ("own", "code", "hint"),
    [
        ("{a: {below: n02898712}}", "unknown-synset", BRIDGE),
        ("{a: {below: own:solder}, solder_x: {}}", "unknown-synset", "own:solder_x"),
        ("{a: {below: own:b}, b: {below: [own:A]}}", "cycle", "leave out one"),
        ("{a: {below: own:a}}", "cycle", "leave out one"),
        ("{Dent: {}, dent: {}}", "own-collision", "upper and lower case"),
        ("{own:Dent: {}, dent: {}}", "own-collision", "upper and lower case"),
        ("{a: {name: Deep dent}, deep-dent: {}}", "own-collision", "a name of its own"),
        ("{a: {name: dent}, b: {name: DENT}}", "own-collision", "a name of its own"),
        ('{a: {name: "a\\nb"}}', "own-name", "another name"),
        ('{a: {name: "  "}}', "own-name", "another name"),
    ],
)
def test_what_cannot_be_is_an_error_with_its_place(spec: Write, own: str, code: str, hint: str) -> None:
    problems = refused(spec(f"vocabulary: {{own: {own}}}\n"))
    assert {problem.code for problem in problems} == {code}
    assert problems[0].place is not None
    assert problems[0].place.line == 6
    assert hint in str(problems[0].hint)


def test_a_collision_names_both_places(spec: Write) -> None:
    (problem,) = refused(spec("vocabulary:\n  own:\n    Dent: {}\n    dent: {}\n"))
    assert problem.place is not None
    assert problem.place.line == 9
    assert "factory.yaml:8:5" in problem.message


def test_a_cycle_names_what_it_goes_through(spec: Write) -> None:
    (problem,) = refused(
        spec("vocabulary: {own: {a: {below: own:b}, b: {below: own:c}, c: {below: own:a}}}\n")
    )
    assert "own:a → own:b → own:c → own:a" in problem.message


def test_own_categories_may_not_lie_without_end_below_one_another(spec: Write) -> None:
    rows = ["id,name,below", *(f"a{i},,own:a{i + 1}" for i in range(200)), "a200,,"]
    assert codes(spec("vocabulary: {own: own.csv}\n", own="\n".join(rows))) == ["own-too-deep"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("id,label,below\na,b,\n", "column-missing", 1),
        ("", "column-missing", 1),
        ("id,name,below\na,b\n", "row-width", 2),
        ("id,name,below\na,one,\na,two,\n", "own-collision", 3),
        ("id,name,below\na,one,\nA,two,\n", "own-collision", 3),
        ("id,name,below\na b,one,\n", "own-id", 2),
        ("id,name,below\n,one,\n", "own-id", 2),
        ("id,name,below\na,one,dog\n", "unknown-synset", 2),
        ("id,name,below\na,one,n99999999\n", "unknown-synset", 2),
        ("id,name,below\na,one,own:gone\n", "unknown-synset", 2),
        (f"id,name,below\na,{'x' * (1 << 20)},\n", "list-unreadable", 1),
        (f"id,name,below\na,{'x' * 600},\n", "own-name", 2),
        (f"id,name,below\n{'x' * 101},x,\n", "own-id", 2),
        ('id,name,below\na,"one,\n', "list-unreadable", None),
        ("id,name,below\na,o\0ne,\n", "list-unreadable", 2),
    ],
)
def test_a_damaged_csv_is_one_error_at_its_line(spec: Write, text: str, code: str, line: int | None) -> None:
    (problem,) = refused(spec("vocabulary: {own: own.csv}\n", own=text))
    assert problem.code == code
    assert problem.place is not None
    assert line is None or problem.place.line in (line, line + 1)
    assert len(str(problem)) < 2000


def test_a_name_below_something_named_by_a_word_gets_its_ids(spec: Write) -> None:
    (problem,) = refused(spec("vocabulary: {own: own.csv}\n", own="id,name,below\na,one,woman\n"))
    assert "n10787470" in str(problem.hint)


def test_lock_refuses_to_lose_too_much_and_the_share_is_what_the_spec_says(spec: Write) -> None:
    path = spec("vocabulary: {allow_lost: 0.85}\n")
    with pytest.raises(MlimgError) as caught:
        lock(load_spec(path), path.parent / "out", path.parent / "lock", inline())
    assert caught.value.problems[0].code == "images-lost"
    path = spec("vocabulary: {allow_lost: 0.86}\n")
    made = lock(load_spec(path), path.parent / "out", path.parent / "lock", inline())
    assert sum(made.left_out.values()) == 12
