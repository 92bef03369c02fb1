"""What tables write where there is no value: an empty cell in words."""

from __future__ import annotations

__all__ = ["NO_VALUE"]

NO_VALUE = frozenset(
    ("", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "nan", "-nan", "none", "null", "nil", "nat")
).union(("-", "--", "?", "??", "...", "\u2026", "\u2013", "\u2014", "_", ".", "undefined", "missing value"))
"""Folded; most of it is what pandas and R read as no value."""
