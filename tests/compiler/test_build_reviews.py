"""What people look at before they trust labels: reviews, rules without effect, lint, contradictions, copies."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mlimg_build.compiler.lint.findings import lint_plan
from mlimg_build.compiler.lint.mapping_review import COLUMNS
from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.lock_stage import labelled, lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import SpecError
from tests.support.photographs import crops
from tests.support.runs import inline
from tests.support.sea_world import ANIMAL, CORGI, DOG, SEA, SNAKE, rows_of, spec, state, write_mapping


def test_only_signed_rows_of_a_review_are_decisions(world: Path) -> None:
    made = plan(spec(world), world / "out")
    path = world / "mapping.csv"
    assert write_mapping(made, path) == (1, 0)
    (row,) = rows_of(path)
    assert tuple(row) == COLUMNS
    assert (row["category"], row["wnid"], row["reviewer"]) == ("corgi", CORGI, "")
    assert row["evidence"]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*row, "note"])
        writer.writeheader()
        writer.writerow({**row, "wnid": DOG, "relation": "is_a", "reviewer": "mg", "note": "seen by me"})
    again = plan(
        spec(world, "mapping: {file: mapping.csv}", "mapping: {file: mapping.csv, is_a: use}"), world / "out"
    )
    (corgi,) = (row for row in again.facts.vocabulary.placed if row.decision.id == "corgi")
    decision = corgi.decision
    assert (decision.wnid, decision.method, decision.relation, decision.reviewer) == (
        DOG,
        "file",
        "is_a",
        "mg",
    )
    assert corgi.narrower
    with path.open("a") as stream:
        stream.write("rows,walrus,walrus,n02081571,,same_as,,,,,,ann,\n")
    write_mapping(again, path)
    kept = {row["category"]: row for row in rows_of(path)}
    assert (kept["corgi"]["wnid"], kept["corgi"]["reviewer"], kept["corgi"]["note"]) == (
        DOG,
        "mg",
        "seen by me",
    )
    assert kept["walrus"]["reviewer"] == "ann", "signed, though no source has it today"
    path.write_text(path.read_text().replace(",mg,", ",,"))
    write_mapping(plan(spec(world), world / "out"), path)
    (row,) = (row for row in rows_of(path) if row["category"] == "corgi")
    assert (row["wnid"], row["reviewer"], row["note"]) == (DOG, "", "seen by me"), "corrected, not signed yet"


def test_a_file_of_somebody_else_is_not_written_over(world: Path) -> None:
    made = plan(spec(world), world / "out")
    for name, data, code in (
        ("a.jpg", crops("chelsea", 1)[0], "list-unreadable"),
        ("u.csv", "source,category,wnid\n".encode("utf-16"), "list-unreadable"),
        ("a.csv", b"x,y\n1,2\n", "not-replaceable"),
        ("b.csv", b'source,"cat', "not-replaceable"),
    ):
        (world / name).write_bytes(data)
        with pytest.raises(SpecError) as caught:
            write_mapping(made, world / name)
        assert caught.value.code == code
        assert (world / name).read_bytes() == data


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("source,category,wnid\nplain,corgi\n", "row-width"),
        ("source,category,wnid\nplain,corgi,,x\n", "row-width"),
        ('source,category,wnid\nplain,"corgi,\n', "list-unreadable"),
        ("source,category\n", "column-missing"),
        ("", "column-missing"),
    ],
)
def test_a_broken_review_is_refused_with_its_line(world: Path, text: str, code: str) -> None:
    (world / "mapping.csv").write_text(text)
    with pytest.raises(SpecError) as caught:
        plan(spec(world), world / "out")
    assert caught.value.code == code
    assert str(caught.value.problems[0].place).startswith(str(world / "mapping.csv"))


def test_rules_without_effect_are_told_with_their_line(world: Path) -> None:
    (world / "mapping.csv").write_text(f"source,category,wnid\nrows,unicorn,{DOG}\n")
    loaded = spec(
        world, "vocabulary:\n",
        "vocabulary:\n  join: {n02121620: [n02123045]}\n  exclude_below: [n02958343]\n  collapse: [n02512053]\n",
    )  # fmt: skip
    told = {
        str(problem.place).rsplit("/", 1)[-1]: problem.message
        for problem in plan(loaded, world / "out").unused
    }
    assert told == {
        "edited.yaml:16:22": "no source category is tabby n02123045, so none is joined",
        "edited.yaml:17:19": "no source category is car n02958343, so none is excluded",
        "edited.yaml:18:14": "no source category lies below fish n02512053, so none is collapsed",
        "mapping.csv:2:1": "no label of source rows is about unicorn",
    }


def test_lint_finds_what_to_look_at(world: Path) -> None:
    found = labelled(spec(world), world / "out", inline(), lint_plan)
    kinds = {(one.kind, one.wnid) for one in found.findings}
    assert ("same-as-parent", CORGI) not in kinds, "there are dogs that are no corgis"
    assert ("same-as-parent", SEA) in kinds, "wherever there is water, it is the sea"
    assert found.contradictions == []
    assert json.dumps(found.shape)


def test_contradictions_are_summed_up_by_who_said_what(world: Path) -> None:
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"q{i}.jpg,{CORGI}|{DOG},0.9|0\n" for i in range(3)))
        stream.write(f"q9.jpg,{CORGI}|{DOG},1|0\n")
    built = build(spec(world), world / "out", inline())
    (file,) = built.lock.parent.glob("*.contradictions.csv")
    rows = rows_of(file)
    assert [
        (row["absent_name"], row["present_name"], row["how"], row["stands"], row["images"]) for row in rows
    ] == [
        ("dog", "corgi", "machine", "absence", "3"),
        ("dog", "corgi", "people", "presence", "1"),
    ]
    assert rows[0]["said_by"] == "plain/plain.csv"


@pytest.mark.parametrize(("exact", "stands"), [("merge", "presence"), ("report", "each for its copy")])
def test_a_source_that_denies_what_another_says_of_a_copy_is_reported(
    world: Path, exact: str, stands: str
) -> None:
    """The same photograph lies in both sources: one saw a dog, one saw that there is no animal."""
    for name in ("r40.jpg", "x.jpg"):
        (world / "images" / name).write_bytes(crops("chelsea", 1)[0])
    with (world / "plain.csv").open("a") as stream:
        stream.write(f"x.jpg,{ANIMAL},0\n")
    (world / "sea.yaml").write_text((world / "sea.yaml").read_text() + f"duplicates: {{exact: {exact}}}\n")
    built = build(spec(world), world / "out", inline())
    assert read_lock(built.lock).repeated.keys() == {"plain/x.jpg", "rows/r40.jpg"}
    (file,) = built.lock.parent.glob("*.contradictions.csv")
    (row,) = rows_of(file)
    assert (row["absent_name"], row["said_by"], row["present_name"], row["and_by"]) == (
        "animal", "plain/plain.csv", "dog", "rows/rows.csv"
    )  # fmt: skip
    assert (row["how"], row["stands"], row["images"]) == ("copy", stands, "1")
    assert row["example"] == "plain/x.jpg = rows/r40.jpg"
    assert state(built.dataset, "rows/r40.jpg")[ANIMAL][0] == 1


def test_copies_of_images_that_left_the_sources_leave_the_lock(world: Path) -> None:
    for name in ("r40.jpg", "r41.jpg", "r42.jpg"):
        (world / "images" / name).write_bytes(crops("chelsea", 1)[0])
    built = build(spec(world), world / "out", inline())
    lock(spec(world), world / "elsewhere", built.lock, inline())
    assert read_lock(built.lock).repeated.keys() == {f"rows/r4{i}.jpg" for i in range(3)}, "not built there"
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"z{i}.jpg,corgi,1\n" for i in range(40)))  # other images belong in every shard
    lock(spec(world), world / "elsewhere", built.lock, inline())
    assert read_lock(built.lock).repeated == {}, "nobody knows whether they are still the same"


def test_lint_shows_doubtful_pairs(world: Path) -> None:
    with (world / "plain.csv").open("a") as stream:
        stream.write("".join(f"z{i}.jpg,{SNAKE},1\n" for i in range(300)))
    found = labelled(spec(world), world / "out", inline(), lint_plan)
    assert [(one.antecedent, one.consequent, one.doubt) for one in found.pairs] == [
        (SNAKE, SEA, "adds-too-many")
    ]
