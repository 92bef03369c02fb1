"""The table and its tests say of each other that they are complete."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.situation_table import TABLE, read_rows


def situations() -> set[str]:
    """The situations that some test proves: the docstrings of tests, and the first entries of parametrizations."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*_situations.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found |= {ast.get_docstring(node) or ""} - {""}
            elif isinstance(node, ast.Dict):
                found |= {key.value for key in node.keys if _is_text(key)}
            elif isinstance(node, ast.List):
                first = [one.elts[0] for one in node.elts if isinstance(one, ast.Tuple)]
                found |= {key.value for key in first if _is_text(key)}
    return found


def _is_text(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_row_of_the_table_has_a_test_and_every_test_a_row() -> None:
    rows = read_rows(TABLE)
    assert set(rows) <= situations()
    assert len(rows) >= 60
    assert all(row.seen for row in rows.values())
