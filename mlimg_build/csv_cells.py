"""Cells of CSVs that people open: text that a spreadsheet would take for a formula is behind an apostrophe."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import IO, Any

__all__ = ["CellWriter", "guarded", "unguarded"]

BEGINS = ("=", "+", "-", "@", "\t", "\r")  # what begins a formula (OWASP, CSV injection)
APOSTROPHE = "'"


def guarded(value: Any) -> Any:
    """Return a cell as it is written; numbers and harmless texts are as they were.

    >>> [guarded(value) for value in ("dog", "=1+1", "-x", "-", -5, "'dog", "'=1")]
    ['dog', "'=1+1", "'-x", '-', -5, "'dog", "''=1"]
    """
    return APOSTROPHE + value if isinstance(value, str) and _is_formula(value) else value


def unguarded(text: str) -> str:
    """Return the cell that `guarded` wrote so.

    >>> [unguarded(text) for text in ("dog", "'=1+1", "'-x", "-", "'dog", "''=1")]
    ['dog', '=1+1', '-x', '-', "'dog", "'=1"]
    """
    return text[1:] if text.startswith(APOSTROPHE) and _is_formula(text) else text


def _is_formula(text: str) -> bool:
    """Tell whether a text is one behind its apostrophes; a sign alone is none."""
    bare = text.lstrip(APOSTROPHE)
    return len(bare) > 1 and bare.startswith(BEGINS)


class CellWriter:
    """Writes rows of a CSV whose cells are guarded; lines end in a line feed."""

    def __init__(self, stream: IO[str]) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")

    def writerow(self, row: Iterable[Any]) -> None:
        """Write one row."""
        self._writer.writerow([guarded(value) for value in row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        """Write all rows."""
        self._writer.writerows([guarded(value) for value in row] for row in rows)
