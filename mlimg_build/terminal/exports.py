"""Show what an export wrote."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .console import err, out, size, table

if TYPE_CHECKING:
    from mlimg_build.exporters import Exported

__all__ = ["show_exported"]


def show_exported(exported: Exported) -> None:
    """Print the path of an export on stdout, and on stderr its files by split and what was left out."""
    listed = table("split", "images", "files", "size", "left out", right=("images", "files", "size"))
    for split, parts in exported.parts.items():
        listed.add_row(
            split,
            f"{exported.images[split]:,}",
            f"{len(parts):,}",
            size(sum(part.bytes for part in parts)),
            ", ".join(f"{count:,} {reason}" for reason, count in exported.left_out[split].items()),
        )
    err.print(listed)
    reasons: Counter[str] = Counter()
    for counts in exported.left_out.values():
        reasons.update(counts)
    if exported.listed:
        copies, rest = reasons.pop("copy", 0), reasons.total()
        told = [f"{rest:,} without bytes"] if rest else []
        told += [f"{copies:,} whose copy counts in their place"] if copies else []
        err.print(f"\nleft out: {', '.join(told)}; each is in {exported.listed.name}")
    out.print(str(exported.folder))
