"""docs/sources.md: every type of source has a row, and the lines of each row are those of a spec."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlimg_build.spec import parse_spec
from mlimg_build.spec.models.sources import TYPES

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINES = re.findall(r"`(\{type: .*?\})`(?= \||,)", (DOCS / "sources.md").read_text())


def test_every_type_has_a_row() -> None:
    assert {re.search(r"type: (\w+)", line)[1] for line in LINES} == {*TYPES}  # type: ignore[index]


@pytest.mark.parametrize("line", LINES)
def test_the_lines_of_a_row_are_a_source(line: str) -> None:
    text = f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  s: {line}\n"
    assert [*parse_spec(text, "x.yaml", Path("/x"), {}).spec.sources] == ["s"]


def test_what_a_build_has_to_reach_is_a_spec() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "checks.md").read_text(), re.DOTALL)
    text = f"mlimg: 1\nname: x\nversion: 1.0.0\nsources: {{s: {{type: folder, images: i}}}}\ntraining: {{}}\n{block}"
    assert parse_spec(text, "x.yaml", Path("/x"), {}).spec.require.validation_map == 0.4
