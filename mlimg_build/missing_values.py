"""The words that tables write for a missing value."""

from __future__ import annotations

__all__ = ["NO_VALUE"]

NO_VALUE = frozenset(
    ("", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "nan", "-nan", "none", "null", "nil", "nat")
).union(("-", "--", "?", "??", "...", "\u2026", "\u2013", "\u2014", "_", ".", "undefined", "missing value"))
"""Casefolded; most of them are what pandas and R read as a missing value."""
