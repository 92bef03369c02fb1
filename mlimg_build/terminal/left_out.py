"""Show what of the sources is not used: categories and images, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from .console import out, table

__all__ = ["show_left_out", "show_left_out_image", "show_unused_categories", "show_unused_category"]

SHOWN = 8  # categories listed


def show_unused_categories(
    to: Console, unused: Sequence[Mapping[str, Any]], total: int, more: str, shown: int = SHOWN
) -> None:
    """Print the source categories that are not used, most images first; `more` says where the rest is listed."""
    if not unused:
        return
    to.print(f"\n{len(unused):,} of {total:,} source categories are not used")
    listed = table("images", "source category", "why", right=("images",))
    for one in unused[:shown]:
        listed.add_row(f"{one['images']:,}", f"{one['source']}: {one['name']}", one["meaning"])
    to.print(listed)
    if len(unused) > shown:
        to.print(f"and {len(unused) - shown:,} more; see {more}")
    for one in {one["reason"]: one for one in reversed(unused[:shown])}.values():
        to.print(f"to use {one['name']}: {one['remedy']}")


def show_left_out(to: Console, left_out: Mapping[str, int], listed: str = "") -> None:
    """Print how many images are not in the dataset, by reason; `listed` is the file that lists them."""
    from mlimg_build.compiler.plan.left_out import REASONS  # noqa: PLC0415  numpy is slow to load

    if not left_out:
        return
    total = sum(left_out.values())
    to.print(
        f"\n{total:,} {'image is' if total == 1 else 'images are'} left out"
        + (f", each with its reason in {listed}" if listed else "")
    )
    made = table("images", "why", right=("images",))
    for reason, count in left_out.items():
        made.add_row(f"{count:,}", f"{REASONS.get(reason, reason)} ({reason})")
    to.print(made)
    if "no_label" in left_out:
        to.print("`annotation: {unlabelled: keep}` keeps images that have no label")


def show_unused_category(found: Sequence[Mapping[str, str]]) -> None:
    """Print why a source category is not used."""
    for one in found:
        name = one["name"] or one["category"]
        out.print(f"{one['source']}: {name} is not used: {one['evidence'] or 'nothing speaks for a synset'}")


def show_left_out_image(entry: Mapping[str, Any]) -> None:
    """Print why one image is not in the dataset."""
    out.print(f"{entry['image']} is left out: {entry['meaning']} ({entry['reason']})")
    for label in filter(None, entry["labels"].split("; ")):
        out.print(f"  {label}")
