"""Show what differs between two specs, locks or datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from .console import err, out, table

if TYPE_CHECKING:
    from mlimg_build.compiler.diff.comparison import Differences

__all__ = ["show_differences"]

ROWS = 20  # of a table of details; `--markdown` and `--json` have more


def show_differences(found: Differences) -> None:
    """Print the differences in tables on stdout; if there are none, print that on stderr."""
    from mlimg_build.compiler.diff.sections import sections, summary  # noqa: PLC0415  numpy is slow to load

    if not found.different:
        err.print(f"no difference between {found.before} and {found.after}")
        return
    out.print(
        Text.assemble(
            (f"{found.before} → {found.after}", "bold"), f"\na {found.level} change: {summary(found)}"
        )
    )
    for section in sections(found):
        listed = table(*section.columns, right=section.right)
        for row in section.rows[:ROWS]:
            listed.add_row(*(Text(cell) for cell in row))
        out.print(Text.assemble("\n", (section.title, "bold cyan")))
        out.print(listed)
        if len(section.rows) > ROWS:
            out.print(f"and {len(section.rows) - ROWS:,} more")
