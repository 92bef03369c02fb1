"""A corrected row that nobody signed is no decision, and nobody is left to believe that it is one."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from mlimg_build.compiler.facts.preflight import check_mapping, load_wordnet
from mlimg_build.compiler.facts.unsigned_rows import CORRECTED, described
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import Problem, SpecError
from tests.support.runs import inline
from tests.support.sea_world import CORGI, DOG, rows_of, spec, write_mapping

WARN = "mapping: {file: mapping.csv}"
ERROR = "mapping: {file: mapping.csv, unreviewed: error, accept_from: 0}"


def unsigned(problems: tuple[Problem, ...]) -> list[Problem]:
    return [problem for problem in problems if problem.code == "mapping-unsigned"]


def rewrite(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Changes every row of a CSV, as somebody with a spreadsheet does."""
    rows = [change(row) for row in rows_of(path)]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def reviewed(world: Path) -> Path:
    """The world with the mapping that `mlimg map` writes."""
    write_mapping(plan(spec(world), world / "out"), world / "mapping.csv")
    return world


def test_a_correction_that_nobody_signed_is_told_at_its_line_and_does_nothing(reviewed: Path) -> None:
    rewrite(reviewed / "mapping.csv", lambda row: {**row, "wnid": DOG})
    for made in (plan(spec(reviewed), reviewed / "out"), build(spec(reviewed), reviewed / "out", inline())):
        (problem,) = unsigned(made.warnings)
        assert problem.severity == "warning"
        assert problem.place is not None
        assert (problem.place.file, problem.place.line) == (str(reviewed / "mapping.csv"), 2)
        assert f"'corgi' as {DOG} dog (line 2)" in problem.message
        assert "column reviewer" in (problem.hint or "")
    (decision,) = (
        row.decision
        for row in plan(spec(reviewed), reviewed / "out").facts.vocabulary.placed
        if row.decision.id == "corgi"
    )
    assert decision.wnid == CORGI


def test_it_stops_where_what_nobody_reviewed_is_an_error(reviewed: Path) -> None:
    rewrite(reviewed / "mapping.csv", lambda row: {**row, "wnid": DOG})
    for act in (
        lambda: plan(spec(reviewed, WARN, ERROR), reviewed / "out"),
        lambda: lock(spec(reviewed, WARN, ERROR), reviewed / "out", reviewed / "a.lock", inline()),
    ):
        with pytest.raises(SpecError) as caught:
            act()
        assert caught.value.code == "mapping-unsigned"


@pytest.mark.parametrize(
    "change",
    [
        {"wnid": DOG},
        {"wnid": "", "relation": ""},
        {"relation": "is_a"},
        {"wnid": "n99999999"},
        {"wnid": DOG, "synset": "dog, domestic dog"},
    ],
    ids=["other synset", "left out", "other relation", "no synset", "synset by hand"],
)
def test_every_kind_of_correction_is_seen_also_without_the_sources(
    reviewed: Path, change: dict[str, str]
) -> None:
    rewrite(reviewed / "mapping.csv", lambda row: {**row, **change})
    loaded = spec(reviewed)
    assert len(unsigned(plan(loaded, reviewed / "out").warnings)) == 1
    (problem,) = check_mapping(loaded, load_wordnet(loaded))
    assert problem.code == "mapping-unsigned"


def test_what_mlimg_wrote_at_another_time_is_no_correction(reviewed: Path) -> None:
    """The decision of then: another synset, with everything about it in its row."""
    dog = described(load_wordnet(spec(reviewed)), DOG)
    for change in ({}, {"score": "0.123", "images": "1"}, {"wnid": DOG, "synset": dog, "alternatives": ""}):
        rewrite(reviewed / "mapping.csv", lambda row, change=change: {**row, **change})
        loaded = spec(reviewed)
        assert unsigned(plan(loaded, reviewed / "out").warnings) == []
        assert [*check_mapping(loaded, load_wordnet(loaded))] == []
    write_mapping(plan(spec(reviewed), reviewed / "out"), reviewed / "mapping.csv")
    (row,) = rows_of(reviewed / "mapping.csv")
    assert row["wnid"] == CORGI, "and map replaces it by the decision of today"


def test_an_alternative_that_somebody_took_with_its_words_is_a_correction(reviewed: Path) -> None:
    dog = described(load_wordnet(spec(reviewed)), DOG)
    change = {"wnid": DOG, "synset": dog, "alternatives": f"{DOG} dog 0.20"}
    rewrite(reviewed / "mapping.csv", lambda row: {**row, **change})
    assert len(unsigned(plan(spec(reviewed), reviewed / "out").warnings)) == 1


def test_a_row_by_hand_counts_by_what_it_says(world: Path) -> None:
    header = "source,category,wnid,relation,reviewer\n"
    for wnid, told in ((DOG, 1), (CORGI, 0), ("", 1)):
        (world / "mapping.csv").write_text(f"{header}plain,corgi,{wnid},,\n")
        assert len(unsigned(plan(spec(world), world / "out").warnings)) == told
    (world / "mapping.csv").write_text(f"{header}plain,corgi,{DOG},,\nplain,corgi,{CORGI},,ann\n")
    assert unsigned(plan(spec(world), world / "out").warnings) == [], "somebody decided it below"


def test_map_keeps_a_correction_until_it_is_signed_also_of_a_row_that_was_emptied(reviewed: Path) -> None:
    path = reviewed / "mapping.csv"
    rewrite(path, lambda row: {**row, "wnid": "", "relation": ""})
    for _ in range(2):
        write_mapping(plan(spec(reviewed), reviewed / "out"), path)
        (row,) = rows_of(path)
        assert (row["wnid"], row["synset"], row["relation"], row["reviewer"]) == ("", "", "", "")
        assert row["evidence"].count(CORRECTED) == 1
        assert len(unsigned(plan(spec(reviewed), reviewed / "out").warnings)) == 1
    rewrite(path, lambda row: {**row, "reviewer": "ann"})
    made = plan(spec(reviewed), reviewed / "out")
    assert unsigned(made.warnings) == []
    assert {row.decision.id: row.fate for row in made.facts.vocabulary.placed}["corgi"] == "dropped"


def test_a_cleared_id_is_a_correction_whatever_else_was_cleared(reviewed: Path) -> None:
    rewrite(reviewed / "mapping.csv", lambda row: {**row, "wnid": "", "synset": "", "relation": ""})
    (told,) = unsigned(plan(spec(reviewed), reviewed / "out").warnings)
    assert "left out" in told.message
    write_mapping(plan(spec(reviewed), reviewed / "out"), reviewed / "mapping.csv")
    assert [row["wnid"] for row in rows_of(reviewed / "mapping.csv")] == [""]


def test_a_signed_row_in_another_form_of_unicode_stays_one_row(world: Path) -> None:
    name = "Caf\u00e9"
    with (world / "plain.csv").open("a") as stream:
        stream.write(f"p99.jpg,{name},1\n")
    decomposed = unicodedata.normalize("NFD", name)
    (world / "mapping.csv").write_text(f"source,category,wnid,reviewer\nplain,{decomposed},{DOG},ann\n")
    write_mapping(plan(spec(world), world / "out"), world / "mapping.csv")
    assert [row["reviewer"] for row in rows_of(world / "mapping.csv") if row["category"] == name] == ["ann"]
    decided = plan(spec(world), world / "out").facts.vocabulary.placed
    assert {row.decision.id: row.wnid for row in decided}[name] == DOG


def test_signed_rows_are_decisions_and_said_nothing_of(reviewed: Path) -> None:
    rewrite(reviewed / "mapping.csv", lambda row: {**row, "wnid": DOG, "reviewer": "ann"})
    made = plan(spec(reviewed), reviewed / "out")
    assert unsigned(made.warnings) == []
    assert {row.decision.id: row.wnid for row in made.facts.vocabulary.placed}["corgi"] == DOG


def test_check_refuses_a_wrong_row_of_the_mapping(world: Path) -> None:
    (world / "mapping.csv").write_text("source,category,wnid\nplain,corgi,n99999999\n")
    loaded = spec(world)
    with pytest.raises(SpecError) as caught:
        [*check_mapping(loaded, load_wordnet(loaded))]
    assert caught.value.code == "unknown-synset"
