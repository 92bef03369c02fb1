"""Show pairs of co-occurring categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .console import out, table

__all__ = ["show_pairs"]

SHOWN = 8  # pairs listed in one table
WIDEST = 20  # letters of a category's name


def show_pairs(rows: Sequence[dict[str, Any]], *, where: str = "--json lists all") -> None:
    """Print the counts behind each pair and what it would add, those that add the most first."""
    listed = table(
        "where", "is also", "seen in", "bound", "adds up to", "", right=("seen in", "bound", "adds up to")
    )
    for row in rows[:SHOWN]:
        support = f"{row['together']:,} of {row['images']:,}"
        fate = row["doubt"] if row["fate"] == "doubtful" else "" if row["fate"] == "used" else row["fate"]
        names = [_short(row[f"{side}_name"]) for side in ("antecedent", "consequent")]
        listed.add_row(*names, support, f"{row['bound']:.2f}", f"{row['adds']:,}", fate)
    out.print(listed)
    if len(rows) > SHOWN:
        out.print(f"and {len(rows) - SHOWN:,} more; {where}")


def _short(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"
