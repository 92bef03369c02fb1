"""Show what differs between two specs, locks or datasets, and what a lock does not tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from mlimg_build.quantities import counted

from .build_log import say
from .console import err, fitted, out

if TYPE_CHECKING:
    from mlimg_build.compiler.diff.changes import Differences

__all__ = ["show_differences", "show_unproved"]

ROWS = 20  # of a table of details; `--markdown` and `--json` have more


def show_unproved(unbuilt: int, shards: int) -> None:
    """Print how many shards of a lock have no digest of their images; nothing if all have one."""
    if unbuilt:
        of = f"{unbuilt:,} of {counted(shards, 'shard')}"
        say(
            f"{of} have no digest, as their images are not built here: another build of them cannot be proved"
        )


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
        out.print(Text.assemble("\n", (section.title, "bold cyan")))
        out.print(fitted(section.columns, section.rows[:ROWS], out.width, section.right))
        if len(section.rows) > ROWS:
            out.print(f"and {len(section.rows) - ROWS:,} more")
