"""Images lost because a name led to nothing are an error from a share on; what the spec itself leaves out is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.facts.unused_categories import LOST
from mlimg_build.compiler.plan.left_out import REASONS
from mlimg_build.compiler.plan.lost_images import refuse_lost
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import LabelError, Problem
from mlimg_build.spec import load_spec
from tests.support.photographs import crops

PICTURES = crops("chelsea", 40, 24)
NOT_LOST = {
    *(
        "no_value",
        "unreviewed",
        "rare_in_source",
        "rare",
        "source_exclude",
        "exclude",
        "exclude_below",
        "dropped",
    ),
    *("absence_of_kind", "below_confidence", "no_label"),
}


def lost(
    root: Path, sources: Mapping[str, Mapping[str, int]], rest: str = "", of_source: str = ""
) -> list[Problem]:
    """Return the problems of tables with so many images of each label."""
    lines = []
    for name, labels in sources.items():
        (root / name).mkdir()
        listed = [label for label, count in labels.items() for _ in range(count)]
        for i in range(len(listed)):
            (root / name / f"{i}.jpg").write_bytes(PICTURES[i])
        rows = [f"{i}.jpg,{label}" for i, label in enumerate(listed)]
        (root / f"{name}.csv").write_text("\n".join(["image,labels", *rows]) + "\n")
        lines.append(f"  {name}: {{type: table, table: {name}.csv, images: {name}{of_source}}}\n")
    (root / "x.yaml").write_text(f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n{''.join(lines)}{rest}")
    made = plan(load_spec(root / "x.yaml"), root / "out")
    try:
        refuse_lost(made)
    except LabelError as error:
        return list(error.problems)
    return []


def test_every_reason_counts_or_does_not() -> None:
    assert {*REASONS} == {*LOST} | NOT_LOST
    assert not {*LOST} & NOT_LOST


@pytest.mark.parametrize(("share", "refused"), [("0.25", False), ("0.24", True), ("0", True), ("1", False)])
def test_the_share_is_exactly_that_of_the_spec(tmp_path: Path, share: str, refused: bool) -> None:
    found = lost(tmp_path, {"t": {"dog": 6, "xyzzy": 2}}, f"vocabulary: {{allow_lost: {share}}}\n")
    assert [problem.code for problem in found] == ["images-lost"] * refused


def test_a_large_source_does_not_hide_what_a_small_one_loses(tmp_path: Path) -> None:
    (problem,) = lost(tmp_path, {"large": {"dog": 38}, "small": {"xyzzy": 1, "cat": 1}})
    assert "source small: 1 of 2 images (50.0 %" in problem.message
    assert problem.place is not None
    assert problem.place.line == 6


def test_head_words_count_and_the_worst_names_come_first(tmp_path: Path) -> None:
    labels = {"dog": 1, "xyzzy": 2, "airbus a380": 4, "other": 3, "qwertz": 1, "plugh": 1, "frobnicate": 1}
    (problem,) = lost(tmp_path, {"t": labels})
    assert "12 of 13 images" in problem.message
    at = [problem.message.index(repr(name)) for name in ("airbus a380", "other", "xyzzy")]
    assert at == sorted(at)
    assert "and 1 more" in problem.message
    assert "(4 images: only known to be a kind of" in problem.message


@pytest.mark.parametrize(
    ("rest", "of_source"),
    [
        ("", ", exclude: [xyzzy]"),
        ("", ", min_images_per_category: 2"),
        ("vocabulary: {min_images_per_category: 2}\n", ""),
        ("annotation: {unlabelled: keep}\n", ""),
    ],
)
def test_what_the_spec_leaves_out_is_not_lost(tmp_path: Path, rest: str, of_source: str) -> None:
    name = "xyzzy" if "exclude" in of_source or "keep" in rest else "cat"
    assert lost(tmp_path, {"t": {"dog": 2, name: 1}}, rest, of_source) == []


def test_a_missing_value_is_not_lost(tmp_path: Path) -> None:
    assert lost(tmp_path, {"t": {"dog": 1, "NA": 3}}) == []


def test_an_image_with_another_label_that_counts_is_not_lost(tmp_path: Path) -> None:
    assert lost(tmp_path, {"t": {"dog|xyzzy": 3}}) == []


@pytest.mark.parametrize("verb", [["plan"], ["check", "--deep"]])
def test_a_check_says_what_a_build_is_refused_for_and_scripts_get_one_object(
    tmp_path: Path, verb: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "img" / "quuxel").mkdir(parents=True)
    (tmp_path / "img" / "dog").mkdir()
    for name, data in zip(("quuxel", "dog"), crops("chelsea", 2), strict=True):
        (tmp_path / "img" / name / "a.jpg").write_bytes(data)
    (tmp_path / "x.yaml").write_text(
        "mlimg: 1\nname: x\nversion: 1.0.0\nsources: {s: {type: folder, images: img}}\n"
    )
    arguments = [*verb, f"{tmp_path}/x.yaml", "--out", f"{tmp_path}/out"]
    assert run(arguments) == 1
    said = capsys.readouterr()
    assert "images-lost" in said.err
    assert "was understood as" in said.out
    assert run([*arguments, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [problem["code"] for problem in told["problems"]] == ["images-lost"]


def test_the_hint_declares_no_name_under_the_name_of_another(tmp_path: Path) -> None:
    (problem,) = lost(
        tmp_path, {"s": {"quuxel+": 3, "quuxel": 2, "dog!": 2, "dog": 2, "quux_el": 1, "quux el": 1}}
    )
    assert problem.hint is not None
    own = [line.strip() for line in problem.hint.splitlines() if "{name:" in line]
    assert [line.partition(": ")[2] for line in own] == [
        '{name: "quuxel+"}',
        '{name: "dog!"}',
        "{name: quuxel}",
        "{name: quux el}",
    ]
    assert [line.partition(": ")[0] for line in own[2:]] == ["quuxel", "quux_el"]
    assert "more" not in problem.hint
