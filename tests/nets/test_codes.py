"""Codes that are stored as numbers: their tables are appended to, and nothing in them moves or goes."""

from __future__ import annotations

import pytest

from mlimg_build.images.status import STATUSES
from mlimg_build.labels.derivation.implication import RULES
from mlimg_build.labels.mapping.decision import METHODS

FORMAT_3 = {
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
    now = {"methods": METHODS, "rules": RULES, "statuses": tuple(status.name for status in STATUSES)}[table]
    assert now[: len(FORMAT_3[table])] == FORMAT_3[table]
    assert len(set(now)) == len(now)
