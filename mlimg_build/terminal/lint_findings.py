"""Show what to review in a spec's categories and rules."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from mlimg_build.quantities import counted

from .console import out, table
from .left_out import show_left_out, show_unused_categories
from .pairs import show_pairs

if TYPE_CHECKING:
    from mlimg_build.compiler.lint.findings import Lint

__all__ = ["show_lint"]

SHOWN = 8  # findings listed of one kind


def show_lint(found: Lint) -> None:
    """Print the findings kind by kind, the largest first, then unused rules and contradictions."""
    form = found.shape
    categories, roots = (
        counted(form["categories"], "category", "categories"),
        counted(form["roots"], "root", "roots"),
    )
    out.print(
        f"{categories}, {roots}, {form['implied_pairs']:,} implied pairs, "
        f"at most {form['deepest']} deep, {form['mean_depth']:.4f} on average"
    )
    for kind, group in groupby(found.findings, key=lambda one: one.kind):
        listed = [*group]
        out.print(Text.assemble((f"\n{kind}", "bold yellow"), f"  {len(listed):,}: {found.kinds[kind]}"))
        for one in listed[:SHOWN]:
            out.print(f"  {one.count:>9,}  {one.message}" if one.count else f"  {one.message}")
        _more(len(listed))
    for problem in found.joins:
        out.print(
            Text.assemble((f"\n{problem.code}", "bold yellow"), f"  {problem.place}: {problem.message}")
        )
    named = [asdict(one) for one in found.unused_categories]
    show_unused_categories(out, named, found.source_categories, "--to FILE, which lists all", SHOWN)
    show_left_out(out, found.left_out)
    looked = (found.joins, found.findings, found.unused, found.contradictions, found.copies, named)
    if not any((*looked, found.left_out, found.pairs)):
        out.print("nothing to look at")
    if found.unused:
        out.print(
            Text.assemble(("\nrule-unused", "bold yellow"), f"  {len(found.unused):,}: rules without effect")
        )
        for problem in found.unused:
            out.print(f"  {problem.place}: {problem.message}")
    if found.contradictions:
        total = sum(row[8] for row in found.contradictions)
        out.print(
            Text.assemble(
                ("\ncontradiction", "bold yellow"), f"  {total:,}: statements that exclude each other"
            )
        )
        listed_ = table(
            "absent", "said by", "present", "said by ", "how", "stands", "images", right=("images",)
        )
        for row in found.contradictions[:SHOWN]:
            listed_.add_row(row[1], row[2], row[4], row[5], row[6], row[7], f"{row[8]:,}")
        out.print(listed_)
        _more(len(found.contradictions))
    _show_copies(found)
    if found.pairs:
        left_out = sum(row.fate == "doubtful" for row in found.pairs)
        said = f"  {len(found.pairs):,}: pairs of categories that are doubtful, {left_out:,} of them left out"
        out.print(Text.assemble(("\npair-doubtful", "bold yellow"), said))
        show_pairs([asdict(row) for row in found.pairs], where="cooccurrence.csv of the lock lists all")


def _show_copies(found: Lint) -> None:
    """Print how many images are copies, and some whose copies differ."""
    from mlimg_build.dataset import copies_in_words  # noqa: PLC0415  other commands need not load it

    if not found.copied.get("groups"):
        return
    out.print(Text.assemble(("\ncopy", "bold yellow"), f"  {copies_in_words(found.copied)}"))
    for one in found.copies[:SHOWN]:
        out.print(f"  {one.message}")
    _more(len(found.copies))


def _more(count: int) -> None:
    if count > SHOWN:
        out.print(f"  and {count - SHOWN:,} more; --to FILE lists all")
