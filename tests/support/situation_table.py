"""The table of `docs/situations.md`: one row a situation, with what is expected of mlimg and what it was seen to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).resolve().parents[2] / "docs" / "situations.md"


class Row(NamedTuple):
    """What a person would expect in a situation, and what mlimg does."""

    expected: str
    seen: str


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of every table in a Markdown file, by their first cell.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+", suffix=".md") as file:
    ...     _ = file.write("| situation | expected | seen |\\n|---|---|---|\\n| a | b | c |\\n")
    ...     file.flush()
    ...     read_rows(Path(file.name))
    {'a': Row(expected='b', seen='c')}
    """
    rows: dict[str, Row] = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or cells[0] == "situation" or set(cells[0]) <= set("-: "):
            continue
        situation, expected, seen = cells
        assert situation not in rows, f"{situation} stands twice in {path.name}"
        rows[situation] = Row(expected, seen)
    return rows


def write_seen(situation: str, text: str) -> bool:
    """Writes what was seen into the table where MLIMG_WRITE_SITUATIONS asks for it; says whether it did."""
    if not os.environ.get("MLIMG_WRITE_SITUATIONS"):
        return False
    lines = TABLE.read_text().splitlines()
    for number, line in enumerate(lines):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and cells[0] == situation:
            lines[number] = f"| {situation} | {cells[1]} | {text} |"
            TABLE.write_text("\n".join(lines) + "\n")
            return True
    raise AssertionError(f"{TABLE.name} has no row {situation!r}")
