"""Show synsets: their names, what is above and below them, and how many images of a spec they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from .console import err, out, table

__all__ = ["show_synsets"]

CHILDREN = 12  # children named
CATEGORIES = 6  # source categories named


def show_synsets(told: Mapping[str, Any], spec: str | None) -> None:
    """Print the likeliest synset in full, then the others a line each, then what is spelt nearly so."""
    first, *rest = told["synsets"]
    _show(first, told["name"], spec)
    others = [*rest, *told["others"]]
    if others:
        out.print(Text("\nother senses", "bold"))
        listed = table("id", "synset", *(["score", "images"] if rest and spec else ["score"] if rest else []))
        for one in others:
            more = [f"{one['score']:.2f}"] if rest else []
            if rest and spec:
                more.append(f"{one['images_with_below']:,}")
            listed.add_row(one["wnid"], _defined(one["synset"], one["gloss"]), *more)
        out.print(listed)
    if told["near"]:
        out.print(Text("\nspelt nearly so", "bold"))
        listed = table("id", "synset", "score")
        for one in told["near"]:
            near = _defined(f"{one['near']}: {one['synset']}", one["gloss"])
            listed.add_row(one["wnid"], near, f"{one['score']:.2f}")
        out.print(listed)
    if rest:
        err.print(f"\n`mlimg synset ID` shows one of them in full, such as {rest[0]['wnid']}")


def _show(one: Mapping[str, Any], name: str, spec: str | None) -> None:
    out.print(Text.assemble((f"{one['wnid']}  {', '.join(one['names'])}", "bold"), f"  {one['file']}"))
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    if one["gloss"]:
        grid.add_row("gloss", one["gloss"])
    if one["as"] != "id":
        grid.add_row("found", f"{one['as']}, score {one['score']:.2f} by the name {name!r} alone")
    for chain in one["chains"]:
        first, *above = chain
        grid.add_row(
            "above", " → ".join([f"{first['name']} {first['wnid']}", *(step["name"] for step in above)])
        )
    if one["more_chains"]:
        grid.add_row("", f"and {one['more_chains']:,} more ways up")
    children = [f"{child['name']} {child['wnid']}" for child in one["children"]]
    if children:
        more = f" and {len(children) - CHILDREN:,} more" if len(children) > CHILDREN else ""
        grid.add_row("children", f"{', '.join(children[:CHILDREN])}{more}; {one['below']:,} synsets below it")
    if spec is not None:
        grid.add_row(
            "images", f"{one['images']:,} in {spec}, {one['images_with_below']:,} with what is below it"
        )
        for row in _categories(one["categories"]):
            grid.add_row("", row)
    out.print(grid)


def _defined(synset: str, gloss: str | None) -> Text:
    """Return a synset with its gloss on the next line."""
    return Text.assemble(synset, *([("\n" + gloss, "dim")] if gloss else []))


def _categories(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a source's categories that mean a synset bring, those of most images first."""
    ranked = sorted(rows, key=lambda row: (-row["images"], row["source"], row["category"]))
    said = []
    for row in ranked[:CATEGORIES]:
        name = row["name"] if row["name"] not in (None, row["category"]) else ""
        fate = "" if row["fate"] == "used" else f", {row['fate']}"
        said.append(
            f"{row['source']}: {row['category']}{f' {name!r}' if name else ''} {row['images']:,}{fate}"
        )
    return [*said, *([f"and {len(ranked) - CATEGORIES:,} more"] if len(ranked) > CATEGORIES else [])]
