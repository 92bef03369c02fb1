"""A flat vocabulary: the sources' names as they are, without WordNet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlimg_build.wordnet.storage
from mlimg_build.category_ids import folded_name, is_own, slug_of
from mlimg_build.compiler.diff.loading import side_of_dataset
from mlimg_build.compiler.facts.flat_vocabulary import flat_ids
from mlimg_build.compiler.lint.findings import lint_plan
from mlimg_build.compiler.lock.lock_reader import read_lock
from mlimg_build.compiler.lock_stage import check_lock, labelled
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.compiler.report_stage import write_report
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import MlimgError
from mlimg_build.explain.category_origin import describe_category
from mlimg_build.explain.image_labels import explain_in
from mlimg_build.explain.label_proofs import prove_labels
from mlimg_build.spec import load_spec
from tests.support.photographs import crops
from tests.support.runs import inline


def table(root: Path, labels: Sequence[str], name: str = "t") -> str:
    """A table source with an image for each label, and its line of a spec."""
    (root / name).mkdir()
    rows = ["image,labels"]
    for number, (label, data) in enumerate(zip(labels, crops("chelsea", len(labels), 32), strict=True)):
        (root / name / f"{number}.jpg").write_bytes(data)
        rows.append(f'{number}.jpg,"{label}"')
    (root / f"{name}.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return f"  {name}: {{type: table, table: {name}.csv, images: {name}}}\n"


def spec(root: Path, sources: str, rest: str = "") -> Path:
    path = root / "flat.yaml"
    vocabulary = f"vocabulary: {{kind: flat{rest}}}\nduplicates: {{exact: report}}\n"
    path.write_text(f"mlimg: 1\nname: flat\nversion: 1.0.0\nsources:\n{sources}{vocabulary}")
    return path


def planned(root: Path, labels: Sequence[str], rest: str = "") -> Plan:
    return plan(load_spec(spec(root, table(root, labels), rest)), root / "out")


def placed(made: Plan) -> dict[str, tuple[str | None, str]]:
    return {row.decision.id: (row.wnid, row.fate) for row in made.facts.vocabulary.placed}


def test_names_are_categories_as_they_are_and_wordnet_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlimg_build.wordnet.storage, "SHIPPED", "not-there.npz")
    mlimg_build.wordnet.storage._shipped.cache_clear()
    path = spec(tmp_path, table(tmp_path, ["Dog", "7", "ok", "n02084071", "划痕", "misalinged part"]))
    built = build(load_spec(path), tmp_path / "out", inline())
    with open_dataset(built.dataset) as dataset:
        assert dict(zip(dataset.categories.wnid, dataset.categories.names, strict=True)) == {
            "own:7": "7",
            "own:dog": "Dog",
            "own:misalinged_part": "misalinged part",
            "own:n02084071": "n02084071",
            "own:ok": "ok",
            "own:划痕": "划痕",
        }
        assert all(not above for above in dataset.categories.parents)
        assert "wordnet" not in dataset.attributes
        assert dataset.attributes["own"]["categories"] == 6
        told = explain_in(dataset, "t/0.jpg", None)["labels"][0]["chain"][-1]
        assert told["place"] == "flat.yaml:6"
        assert "by its name, as the source has it" in told["text"]
        assert describe_category(dataset, "Dog")["categories"][0]["own"] == "flat.yaml:6"
        assert "WordNet" not in side_of_dataset(dataset, "now").head
    assert not prove_labels(built.dataset).flaws
    assert "wordnet" not in read_lock(built.lock).head
    check_lock(load_spec(path), tmp_path / "out", built.lock, inline())
    assert "own:dog" in write_report(built.dataset, tmp_path / "page.html").read_text()
    found = labelled(load_spec(path), tmp_path / "out", inline(), lint_plan)
    assert found.findings == ()


def test_one_name_of_several_sources_is_one_category(tmp_path: Path) -> None:
    sources = table(tmp_path, ["Caf\u00e9", "dent"], "a") + table(
        tmp_path, ["CAFE\u0301", "Dent", "hole"], "b"
    )
    made = plan(load_spec(spec(tmp_path, sources)), tmp_path / "out")
    assert made.facts.vocabulary.wnids == ("own:café", "own:dent", "own:hole")
    assert made.graph.name("own:dent") == "Dent"


def test_names_that_differ_in_signs_are_two_and_said(tmp_path: Path) -> None:
    made = planned(tmp_path, ["with mask", "with_mask", "with/mask"])
    ids = {name: wnid for name, (wnid, _) in placed(made).items()}
    assert ids["with_mask"] == "own:with_mask"
    assert len({*ids.values()}) == 3
    assert all(str(wnid).startswith("own:with_mask-") for name, wnid in ids.items() if name != "with_mask")
    (warning,) = (problem for problem in made.warnings if problem.code == "same-slug")
    assert "'with mask'" in warning.message
    joined = planned_again(
        tmp_path, f", join: {{own:with_mask: ['{ids['with mask']}', '{ids['with/mask']}']}}"
    )
    assert joined.facts.vocabulary.wnids == ("own:with_mask",)


def planned_again(root: Path, rest: str) -> Plan:
    line = "  t: {type: table, table: t.csv, images: t}\n"
    return plan(load_spec(spec(root, line, rest)), root / "out")


def test_exclusions_thresholds_and_missing_values_are_as_ever(tmp_path: Path) -> None:
    labels = ["a", "a", "b", "c", "c", "none"]
    made = planned(tmp_path, labels, ", exclude: [own:C], min_images_per_category: 2")
    assert placed(made)["a"] == ("own:a", "used")
    assert placed(made)["b"] == ("own:b", "rare")
    assert placed(made)["c"] == ("own:c", "excluded")
    assert placed(made)["none"] == (None, "no_value")
    (none,) = (one for one in made.unused_categories if one.category == "none")
    assert "include: ['own:none']" in none.remedy
    included = planned_again(tmp_path, ", include: ['own:none']")
    assert placed(included)["none"] == ("own:none", "used")


def test_an_id_that_no_source_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MlimgError) as caught:
        planned(tmp_path, ["dent", "hole"], ", include: [own:dend]")
    (problem,) = caught.value.problems
    assert problem.code == "unknown-synset"
    assert "own:dent" in str(problem.hint)


def test_folders_that_are_splits_are_no_categories_here_either(tmp_path: Path) -> None:
    for name, data in zip(("train", "val"), crops("chelsea", 2, 32), strict=True):
        (tmp_path / "img" / name).mkdir(parents=True)
        (tmp_path / "img" / name / "a.jpg").write_bytes(data)
    with pytest.raises(MlimgError) as caught:
        plan(load_spec(spec(tmp_path, "  s: {type: folder, images: img}\n")), tmp_path / "out")
    assert caught.value.problems[0].code == "folders-are-splits"


NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["a b", "a_b", "a-b", "A B", "!!", "x" * 150, "ß", "ss"]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(NAMES, max_size=8))
def test_every_name_has_one_id_whatever_the_order(names: list[str]) -> None:
    keys = sorted({folded_name(name) for name in names} - {""})
    ids = flat_ids(keys)
    assert len({*ids.values()}) == len(keys)
    assert all(is_own(wnid) for wnid in ids.values())
    assert ids == flat_ids(reversed(keys))
    for key, wnid in ids.items():
        if key == slug_of(key):
            assert wnid == f"own:{key}"
