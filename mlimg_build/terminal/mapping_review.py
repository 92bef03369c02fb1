"""Show decisions about source categories."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from .console import err, table

if TYPE_CHECKING:
    from mlimg_build.compiler.facts.facts import Facts

__all__ = ["show_review"]

BANDS = (0.95, 0.8, 0.6, 0.0)


def show_review(facts: Facts, path: Path, rows: int, reviewed: int, used: Path | None) -> None:
    """Print on stderr how certain the decisions are, and what to do with the file."""
    placed = facts.vocabulary.placed
    found = [row for row in placed if row.unreviewed and row.fate != "excluded"]
    listed = table("score", "same as", "a kind of", "images", right=("same as", "a kind of", "images"))
    top = 1.01
    for low in BANDS:
        band = [row for row in found if low <= row.decision.score < top]
        kinds = Counter(row.decision.relation for row in band)
        images = sum(row.images for row in band)
        counts = (kinds["same_as"], kinds["is_a"], images)
        listed.add_row(f"{low:.2f} to {min(top, 1):.2f}", *(f"{count:,}" for count in counts))
        top = low
    err.print(listed)
    nothing = sum(row.fate == "unresolved" for row in placed)
    err.print(
        f"\n{rows:,} names, {reviewed:,} reviewed, {nothing:,} without a synset; the least certain come first"
    )
    if used is None or used.resolve() != path.resolve():
        setting = f"mapping: {{file: {path.name}}}"
        err.print(f"sign what is right in the column reviewer, and name the file in the spec: {setting}")
