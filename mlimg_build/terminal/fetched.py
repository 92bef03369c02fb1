"""Show what came of the URLs of a spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlimg_build.quantities import counted

from .console import duration, err, out, percent, size, table

if TYPE_CHECKING:
    from mlimg_build.compiler.build_result import Fetched

__all__ = ["fetched_line", "show_fetched", "show_outlook"]


def show_fetched(found: Fetched | None, store: str) -> None:
    """Print a table of the states of URLs on stderr, and the place of the store on stdout."""
    from mlimg_build.fetch.outcomes import State  # noqa: PLC0415

    if found is None:
        err.print("no image of this spec lies at a URL")
        return
    total = sum(found.states.values()) + found.unasked
    asked = f"asked for {counted(found.asked, 'URL')} in {duration(found.seconds)}"
    err.print(f"{counted(total, 'image')} at URLs; {asked if found.asked else 'asked for none'}")
    listed = table("images", "share", "state", "meaning", right=("images", "share"))
    for name, count in found.states.items():
        listed.add_row(f"{count:,}", percent(count / total), name, State[name].meaning)
    if found.unasked:
        listed.add_row(f"{found.unasked:,}", percent(found.unasked / total), "", "Nobody asked for it yet")
    err.print(listed)
    out.print(store)


def show_outlook(ahead: Mapping[str, Any]) -> None:
    """Print what is known of the images at URLs, and what it takes to ask for the others."""
    about = "about " if ahead["is_sample"] else ""
    known = ", ".join(f"{about}{count:,} {state}" for state, count in ahead["states"].items())
    out.print(f"at URLs     {counted(ahead['images'], 'image')}" + (f": {known}" if known else ""))
    if not ahead["to_ask"]:
        return
    if ahead["seconds"] is None:
        more = "no rate is measured yet, which `mlimg fetch --fraction 0.001` does"
    else:
        more = f"{duration(ahead['seconds'])} and {size(ahead['bytes'])} by the latest fetches"
    out.print(f"to fetch    {about}{counted(ahead['to_ask'], 'URL')}: {more}")
    if ahead["bytes"] is not None:
        free = "" if ahead["free"] is None else f"; {size(ahead['free'])} are free there"
        short = ahead["free"] is not None and ahead["free"] < ahead["bytes"]
        out.print(f"disk        {size(ahead['bytes'])} in the store{free}{', too few' if short else ''}")


def fetched_line(found: Fetched) -> str:
    """Return one line on what came."""
    total = sum(found.states.values()) + found.unasked
    ok = found.states.get("ok", 0)
    return f"{ok:,} of {total:,} images at URLs are here, {found.asked:,} were asked for now"
