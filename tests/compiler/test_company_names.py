"""A company's own words as names of folders: what becomes of each is seen, and a typing error is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.cli import run
from mlimg_build.compiler.plan_stage import Understanding, understand
from mlimg_build.errors import MlimgError, Problem
from mlimg_build.spec import load_spec
from mlimg_build.terminal import console
from tests.support.photographs import crops

HEAD = "mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n"
FOLDERS = ("Dent", "crak", "oil stain", "scrach")
OWN = "vocabulary: {own: {scratch: {}, crack: {}, dent: {}, oil_stain: {name: oil stain}}, allow_lost: 1}\n"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Four folders of two photographs each."""
    photographs = crops("chelsea", 2 * len(FOLDERS), 32)
    for number, data in enumerate(photographs):
        folder = tmp_path / "parts" / FOLDERS[number // 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(data)
    return tmp_path


def of(root: Path, vocabulary: str = "", source: str = "{type: folder, images: parts}") -> Understanding:
    (root / "x.yaml").write_text(f"{HEAD}  s: {source}\n{vocabulary}")
    return understand(load_spec(root / "x.yaml"), root / "out")


def warned(found: Understanding, code: str) -> list[Problem]:
    return [one for one in found.warnings if one.code == code]


def test_every_category_of_a_small_source_is_shown_with_what_it_becomes(parts: Path) -> None:
    found = of(parts, "vocabulary: {allow_lost: 1}\n").sources["s"]
    named = {one.category: one for one in found.named}
    assert [one.category for one in found.named] == ["Dent", "crak", "oil stain", "scrach"]
    assert {one.images for one in found.named} == {2}
    assert (named["Dent"].wnid, named["Dent"].above) == ("n11413661", "consequence")
    assert named["Dent"].score < 0.7
    assert (named["crak"].wnid, named["crak"].fate) == (None, "unresolved")
    assert (found.categories, found.becoming) == (4, 2)
    assert found.left_out[-1][3] == ("crak", "scrach")


def test_examples_show_as_many_categories_as_there_are(parts: Path) -> None:
    examples = of(parts, "vocabulary: {allow_lost: 1}\n").sources["s"].examples
    assert {image.labels[0].category for image in examples[:4]} == {*FOLDERS}


def test_of_many_categories_the_least_certain_are_shown(tmp_path: Path) -> None:
    sure = ["dog", "golden retriever", "tench", "banana", "ostrich", "umbrella", "hen", "zebra", "pelican"]
    sure += ["koala", "wombat", "jellyfish", "flamingo", "goldfinch", "scorpion", "lemon", "orange peel"]
    rows = [f"{i}.jpg,{name}" for i, name in enumerate([*sure, "quuxel", "Dent", "zzyzx", "fnord"])]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels", *rows, ""]))
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "0.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    source = "{type: table, table: t.csv, images: img}"
    found = of(tmp_path, "vocabulary: {allow_lost: 1}\n", source).sources["s"]
    shown = [one.category for one in found.named]
    assert {*shown[:3]} == {"quuxel", "zzyzx", "fnord"}
    assert "Dent" in shown
    assert "tench" not in shown


def test_what_becomes_one_category_is_named(parts: Path) -> None:
    (parts / "names.csv").write_text("folder,name\ncrak,scratch\nscrach,scratch\nDent,dent\n")
    own = "vocabulary: {own: {scratch: {}, dent: {}, oil_stain: {name: oil stain}}}\n"
    found = of(parts, own, "{type: folder, images: parts, classes: names.csv}")
    assert found.sources["s"].merged == (("scratch own:scratch", ("scratch", "scratch")),)
    assert found.sources["s"].becoming == 3
    assert not warned(found, "classes-unused")


def test_a_low_score_is_a_warning_that_names_what_was_taken(parts: Path) -> None:
    found = of(parts, "vocabulary: {allow_lost: 1}\n")
    (unsure,) = warned(found, "unsure-name")
    assert "'Dent' (n11413661, a kind of consequence: 0." in unsure.message
    assert not warned(of(parts, "vocabulary: {allow_lost: 1, mapping: {accept_from: 0.4}}\n"), "unsure-name")


def test_an_own_category_that_no_name_becomes_is_a_warning(parts: Path) -> None:
    misspelt = OWN.replace("dent: {}", "dnet: {}")
    (unused,) = warned(of(parts, misspelt), "own-unused")
    assert "own:dnet (did you mean 'Dent', n11413661?)" in unused.message
    assert "own:crack (did you mean 'crak', unresolved?)" in unused.message
    assert "own:oil_stain" not in unused.message
    right = "vocabulary: {own: {crak: {below: own:flaw}, flaw: {}}, allow_lost: 1}\n"
    assert not warned(of(parts, right), "own-unused"), "flaw has crak below it"


def test_a_declared_category_is_offered_before_all_nouns(parts: Path) -> None:
    found = of(parts, OWN)
    (unresolved,) = warned(found, "unresolved-name")
    assert "'scrach' (is it 'scratch', own:scratch?)" in unresolved.message
    assert "'crak' (is it 'crack', own:crack?)" in unresolved.message


def test_a_class_that_no_folder_has_is_a_warning(parts: Path) -> None:
    (parts / "names.csv").write_text(
        "crak,crack\nscrach,scratch\nDnet,dent\noil stain,oil stain\nrust,rust\n"
    )
    found = of(parts, OWN, "{type: folder, images: parts, classes: names.csv}")
    (unused,) = warned(found, "classes-unused")
    assert unused.message.endswith("'Dnet' (did you mean 'Dent'?), 'rust' in names.csv")
    assert "2 rows name no category" in unused.message


def test_it_fits_into_eighty_columns(
    parts: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "width", 80)
    of(parts, "vocabulary: {allow_lost: 1}\n")
    assert run(["check", "--deep", f"{parts}/x.yaml", "--out", f"{parts}/out"]) == 0
    said = capsys.readouterr().out
    assert "  rows      8 images, 4 categories, which become 2; labels: 8 present, 0 absent\n" in said
    assert "  names     Dent (2 images) → dent n11413661, a kind of consequence, score 0." in said
    about = said[said.index("was understood") :].splitlines()[:-1]
    assert max(map(len, about)) <= 80


def test_lint_lists_what_is_unsure(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of(parts, "vocabulary: {allow_lost: 1}\n")
    assert run(["lint", f"{parts}/x.yaml", "--out", f"{parts}/out"]) == 0
    said = capsys.readouterr().out
    assert "Dent of s is taken for dent (a kind of consequence), and its score is 0." in said


def test_a_decision_about_a_misspelt_id_is_a_warning(parts: Path) -> None:
    (parts / "maps.csv").write_text(
        "source,category,wnid,reviewer\ns,crack,own:crack,me\ns,scrach,own:scratch,me\ns,wombat,n01883070,me\n"
    )
    mapped = OWN.replace("allow_lost", "mapping: {file: maps.csv}, allow_lost")
    (unmatched,) = warned(of(parts, mapped), "mapping-unmatched")
    assert "a row decides about a category" in unmatched.message
    assert "crack of s (did you mean crak, 'crak'?)" in unmatched.message
    assert "wombat" not in unmatched.message, "the file may be about other sources' categories, too"


def test_check_says_that_there_is_no_error_only_at_the_end(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of(parts, "vocabulary: {allow_lost: 0}\n")
    assert run(["check", "--deep", f"{parts}/x.yaml", "--out", f"{parts}/out"]) == 1
    assert "no errors" not in capsys.readouterr().out
    of(parts, "vocabulary: {allow_lost: 1}\n")
    assert run(["check", "--deep", f"{parts}/x.yaml", "--out", f"{parts}/out"]) == 0
    assert capsys.readouterr().out.endswith("x.yaml: x 1.0.0, 1 source, no errors\n")


def test_how_images_without_a_label_are_kept_is_said(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (parts / "t.csv").write_text("image,labels\nDent/0.jpg,dog\nDent/1.jpg,\n")
    (parts / "x.yaml").write_text(f"{HEAD}  s: {{type: table, table: t.csv, images: parts}}\n")
    assert run(["plan", f"{parts}/x.yaml", "--out", f"{parts}/out"]) == 0
    assert "`annotation: {unlabelled: keep}` keeps images that have no label" in capsys.readouterr().out


def test_decisions_none_of_which_is_about_the_source_are_a_warning(parts: Path) -> None:
    (parts / "maps.csv").write_text("source,category,wnid,reviewer\ns,0,own:crack,me\ns,1,own:scratch,me\n")
    mapped = OWN.replace("allow_lost", "mapping: {file: maps.csv}, allow_lost")
    (unmatched,) = warned(of(parts, mapped), "mapping-unmatched")
    assert "none of the 2 decisions on source s is about a category of it" in unmatched.message


@pytest.mark.parametrize(("first", "said"), [(0, ""), (1, "greater by 1")])
def test_classes_that_count_from_another_number_are_an_error(tmp_path: Path, first: int, said: str) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "0.jpg").write_bytes(crops("chelsea", 1, 32)[0])
    words = ("tench", "banana", "ostrich", "umbrella", "zebra")
    (tmp_path / "c.csv").write_text("".join(f"{first + i},{word}\n" for i, word in enumerate(words)))
    rows = [f"https://example.org/{i}.jpg,{i % 5}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["image,labels", *rows, ""]))
    source = "{type: table, table: t.csv, images: img, classes: c.csv}"
    if not said:
        assert not warned(of(tmp_path, "", source), "classes-shifted")
        return
    with pytest.raises(MlimgError) as caught:
        of(tmp_path, "vocabulary: {allow_lost: 1}\n", source)
    assert caught.value.code == "classes-shifted"
    assert said in caught.value.problems[0].message
