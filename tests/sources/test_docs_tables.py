"""The examples of docs/tables.md: each table, read by its lines of a spec, gives what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlimg_build.sources.formats.table import Table
from mlimg_build.spec import TableSource, parse_spec
from tests.support.source_world import scan, write

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "tables.md").read_text()
EXAMPLES = re.findall(r"```csv\n(.*?)```\n```yaml\n(.*?)```\n```text\n(.*?)```", PAGE, re.DOTALL)


def test_every_block_belongs_to_an_example() -> None:
    assert len(EXAMPLES) >= 8
    assert PAGE.count("```") == 6 * len(EXAMPLES)


@pytest.mark.parametrize(("table", "line", "expected"), EXAMPLES)
def test_an_example_reads_as_the_page_says(tmp_path: Path, table: str, line: str, expected: str) -> None:
    write(tmp_path / "t.csv", table)
    write(tmp_path / "img" / "1.jpg")
    text = f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  {line}"
    part = parse_spec(text, "x.yaml", tmp_path, {}).spec.sources["t"]
    assert isinstance(part, TableSource)
    read: dict[str, list[str]] = {}
    for image, category, value in scan(Table("t", part)).statements:
        said = {1.0: "present", 0.0: "absent"}.get(value, repr(value))
        read.setdefault(image, []).append(f"{category} {said}")
    assert "".join(f"{image}: {', '.join(labels)}\n" for image, labels in read.items()) == expected
