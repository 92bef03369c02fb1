"""Codes that are stored as numbers: their tables are appended to, and nothing in them moves or goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mlimg_build.compiler.pipeline import build
from mlimg_build.dataset import open_dataset
from mlimg_build.images.status import STATUSES
from mlimg_build.labels.derivation.implication import RULES
from mlimg_build.labels.mapping.decision import METHODS, RELATIONS
from mlimg_build.labels.vocabulary import FATES
from mlimg_build.spec import load_spec
from tests.support.runs import inline

WORLD = Path(__file__).with_name("world")
FORMAT_3 = {
    "fates": ("used", "unresolved", "dropped", "excluded", "rare", "unreviewed", "is_a", "no_value"),
    "relations": ("same_as", "is_a"),
    "methods": ("same_id", "file", "synonym", "lemma", "head", "unresolved"),
    "rules": ("stated", "ancestors", "descendants", "cooccurrence", "cooccurrence_ancestors"),
    "statuses": (
        "ok",
        "not_fetched",
        "missing",
        "empty",
        "truncated",
        "corrupt",
        "unrecognised",
        "too_many_pixels",
        "unreadable",
        "outside",
    ),
}


@pytest.mark.parametrize("table", FORMAT_3)
def test_a_code_means_what_it_meant_in_format_3(table: str) -> None:
    now = {
        "fates": FATES,
        "relations": RELATIONS,
        "methods": METHODS,
        "rules": RULES,
        "statuses": tuple(status.name for status in STATUSES),
    }[table]
    assert now[: len(FORMAT_3[table])] == FORMAT_3[table]
    assert len(set(now)) == len(now)


def test_a_source_that_is_added_behind_the_others_gets_the_codes_behind_theirs(tmp_path: Path) -> None:
    """So what an earlier release calls source 1 or licence 2 is called so in the next."""
    world = Path(shutil.copytree(WORLD, tmp_path / "world"))
    with open_dataset(build(load_spec(world / "world.yaml"), world / "out", inline()).dataset) as dataset:
        before = dataset.tables
    shutil.copytree(world / "folders", world / "more")
    text = (world / "world.yaml").read_text()
    more = "  more: {type: folder, images: more, licence: AAA-1.0}\nvocabulary:"
    (world / "world.yaml").write_text(text.replace("vocabulary:", more))
    with open_dataset(build(load_spec(world / "world.yaml"), world / "out", inline()).dataset) as dataset:
        assert dataset.tables["sources"] == [*before["sources"], "more"]
        assert dataset.tables["licences"] == [*before["licences"], "AAA-1.0"]
