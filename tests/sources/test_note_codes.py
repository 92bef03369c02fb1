"""Every note that a source makes has a sentence, and every sentence has a note."""

from __future__ import annotations

import ast
from pathlib import Path

import mlimg_build
from mlimg_build.sources.note_codes import NOTE_CODES, lost, used

ROOT = Path(mlimg_build.__file__).parent


def texts_given_to_notes() -> set[str]:
    """The texts that stand where code adds a note, or hands a code to what adds it."""
    found: set[str] = set()
    for path in (*(ROOT / "sources").rglob("*.py"), *(ROOT / "compiler" / "catalog").glob("*.py")):
        if path.name != "note_codes.py":
            tree = ast.parse(path.read_text())
            found |= {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    return found


def test_every_code_is_used_and_every_note_has_a_code() -> None:
    assert NOTE_CODES.keys() <= texts_given_to_notes()
    for path in (ROOT / "sources").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "add"
                and node.args
                and isinstance(node.args[0], ast.Constant)
                and isinstance(node.args[0].value, str)
                and len(node.args) > 1
            ):
                assert node.args[0].value in NOTE_CODES, f"{path.name}:{node.lineno}"


def test_what_is_lost_and_what_is_used_are_told_apart() -> None:
    counts = {"bad-confidence": 2, "unknown-speaker": 20, "several-rows": 18}
    assert lost(counts) == {"bad-confidence": 2}
    assert used(counts) == {"unknown-speaker": 20, "several-rows": 18}
