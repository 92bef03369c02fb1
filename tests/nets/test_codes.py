"""Codes that are stored as numbers: their tables are appended to, and nothing in them moves or goes."""

from __future__ import annotations

import pytest

from mlimg_build.images.status import STATUSES
from mlimg_build.labels.derivation.implication import RULES
from mlimg_build.labels.mapping.decision import METHODS, RELATIONS
from mlimg_build.labels.vocabulary import FATES

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
    before = build(load_spec(world / "world.yaml"), world / "out", inline())
    shutil.copytree(world / "animals", world / "more")
    text = (world / "world.yaml").read_text()
    added = "sources:\n  more: {type: folder, images: more, licence: AAA-1.0}\n"
    head, _, rest = text.partition("sources:\n")
    end = re.search(r"^\S", rest, re.MULTILINE)
    cut = end.start() if end else len(rest)
    more = added.removeprefix("sources:\n")
    (world / "world.yaml").write_text(f"{head}sources:\n{rest[:cut]}{more}{rest[cut:]}")
    after = build(load_spec(world / "world.yaml"), world / "out", inline())
    with open_dataset(before.dataset) as now:
        pass
    with open_dataset(after.dataset) as now:
        assert now.tables["sources"][-1] == "more"
        assert now.tables["licences"][-1] == "AAA-1.0"
