"""The difference that one rule makes on real collections: 20,522 images under three vocabularies."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlimg_build.compiler.diff.changes import Differences
from mlimg_build.compiler.diff.loading import compare_paths
from mlimg_build.compiler.diff.markdown import as_markdown
from mlimg_build.compiler.lock_stage import lock
from mlimg_build.spec import load_spec
from tests.support.runs import THREE_SOURCES, inline

SPEC = (
    """\
mlimg: 1
name: three
version: 1.0.0
"""
    + THREE_SOURCES
    + """\
vocabulary:
  ancestors: common
  collapse: {collapse}
annotation:
  unlabelled: keep
"""
)


@pytest.fixture(scope="module")
def collapsed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Differences:
    """What collapsing all felines into one category changes, from the two locks."""
    root = tmp_path_factory.mktemp("collapsed")
    for name, collapse in (("before", "[]"), ("after", "[n02120997]")):
        (root / "three.yaml").write_text(SPEC.format(data=shared_data, collapse=collapse))
        lock(load_spec(root / "three.yaml"), root / "out", root / f"{name}.lock", inline())
    return compare_paths(root / "before.lock", root / "after.lock", root / "out", inline())


@pytest.mark.slow
def test_collapsed_categories_are_dropped_and_merged_into_one(collapsed: Differences) -> None:
    assert [row.name for row in collapsed.merged] == ["feline"]
    assert {"tabby", "Persian cat", "lion", "tiger"} <= {
        collapsed.names[wnid] for wnid in collapsed.merged[0].parts
    }
    assert {row.name for row in collapsed.dropped} >= {"cat", "tabby", "Persian cat", "lion", "tiger"}
    assert all(where in ("n02120997", "") for row in collapsed.dropped for *_, where in row.sources)
    assert collapsed.added == ()
    assert collapsed.sources == ()


def test_what_a_collapse_implied_is_stated_now(collapsed: Differences) -> None:
    feline = next(effect for effect in collapsed.effects if effect.name == "feline")
    assert feline.changes["stated"] == -feline.changes["implied"] > 500
    assert any("came from" in cause for cause in feline.because)
    tabby = next(effect for effect in collapsed.effects if effect.name == "tabby")
    assert tabby.because == (
        "dropped: imagenet:n02123045 goes into feline now; tiny:n02123045 goes into feline now",
        "vocabulary.collapse changed",
    )


def test_every_effect_has_a_cause(collapsed: Differences) -> None:
    assert len(collapsed.effects) == collapsed.categories_changed == 14
    assert [effect.name for effect in collapsed.effects if not effect.because] == []
    text = as_markdown(collapsed)
    assert all(f"| {effect.name} {effect.wnid} |" in text for effect in collapsed.effects)
