"""Show what came of the URLs of a spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import duration, err, out, percent, table

if TYPE_CHECKING:
    from mlimg_build.compiler.build_result import Fetched

__all__ = ["fetched_line", "show_fetched"]


def show_fetched(found: Fetched | None, store: str) -> None:
    """Print a table of the states of URLs on stderr, and the place of the store on stdout."""
    from mlimg_build.fetch.outcomes import State  # noqa: PLC0415

    if found is None:
        err.print("no image of this spec lies at a URL")
        return
    total = sum(found.states.values()) + found.unasked
    asked = (
        f"asked for {found.asked:,} URLs in {duration(found.seconds)}" if found.asked else "asked for none"
    )
    err.print(f"{total:,} images lie at URLs; {asked}")
    listed = table("images", "share", "state", "meaning", right=("images", "share"))
    for name, count in found.states.items():
        listed.add_row(f"{count:,}", percent(count / total), name, State[name].meaning)
    if found.unasked:
        listed.add_row(f"{found.unasked:,}", percent(found.unasked / total), "", "Nobody asked for it yet")
    err.print(listed)
    out.print(store)


def fetched_line(found: Fetched) -> str:
    """Return one line on what came."""
    total = sum(found.states.values()) + found.unasked
    ok = found.states.get("ok", 0)
    return f"{ok:,} of {total:,} images at URLs are here, {found.asked:,} were asked for now"
