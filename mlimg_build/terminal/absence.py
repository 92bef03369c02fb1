"""Show what is left of images that were taken down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlimg_build.quantities import counted

from .console import err, out

if TYPE_CHECKING:
    from mlimg_build.compiler.takedown.absence import Absence

__all__ = ["show_absence"]


def show_absence(found: Absence) -> None:
    """Print each finding on stdout with its place, and on stderr what was looked at and what was not."""
    for one in found.findings:
        out.print(f"{one.what}: {one.place}" + (f" ({one.entry})" if one.entry else ""))
    for text in found.unread:
        out.print(f"not looked into: {text}")
    err.print(f"looked for {counted(found.entries, 'entry', 'entries')} in {', '.join(found.places)}")
    if found.listed_by_source:
        images = counted(found.listed_by_source, "listed image", "listed images")
        err.print(
            f"the sources' own lists still name {images}, and so does the copy of these lists in the cache"
        )
    if found.ok:
        out.print("nothing of them is left")
