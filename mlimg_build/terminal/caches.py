"""Show what builds and trainings keep, and what was removed of it."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from .console import err, out, size, table

if TYPE_CHECKING:
    from mlimg_build.compiler.cache_stage import CacheContents, CachePruned, StoreContents

__all__ = ["show_cache", "show_pruned"]

KEY = 8  # letters of a run's folder that identify it
WORDS = {
    "needed": "needed",
    "previous": "previous",
    "linked": "of a dataset",
    "recent": "used since",
    "spare": "not needed",
}
JUDGED = {
    "specs": "needed by the specs",
    "last build": "needed by the last build",
    "nothing": "no finished build is recorded",
}


def show_cache(found: CacheContents, folder: Path) -> None:
    """Print a table for each store, one of all runs, and what a prune would free."""
    for store in found.stores:
        _show_store(store)
    for runs, group in groupby(
        found.runs, key=lambda run: run.folder.relative_to(folder.absolute()).parts[0]
    ):
        out.print(Text(runs, "bold"))
        listed = table("run", "of", "checkpoints", "size", "last used", right=("checkpoints", "size"))
        for run in group:
            key = run.folder.relative_to(folder.absolute()).parts[1]
            name = run.name if run.finished else f"{run.name}, unfinished"
            listed.add_row(key[:KEY], name, f"{run.checkpoints:,}", size(run.bytes), _when(run.last_used))
        out.print(listed)
    if not found.stores and not found.runs:
        err.print(f"nothing is kept in {folder}")


def _show_store(store: StoreContents) -> None:
    out.print(Text.assemble((store.name, "bold"), f"  {JUDGED[store.judged_by]}"))
    listed = table("stage", "results", "size", "last used", "", right=("results", "size"))
    for stage in store.stages:
        states = ", ".join(
            WORDS[state] if count == stage.entries else f"{count:,} {WORDS[state]}"
            for state, count in stage.states.items()
        )
        name = "left by kills" if stage.stage == "tmp" else stage.stage
        listed.add_row(name, f"{stage.entries:,}", size(stage.bytes), _when(stage.last_used), states)
    out.print(listed)
    total = sum(stage.bytes for stage in store.stages)
    linked = sum(stage.linked_bytes for stage in store.stages)
    spare = sum(stage.spare_bytes for stage in store.stages)
    named = " SPEC..." if store.judged_by == "specs" else ""
    if linked:
        out.print(f"{size(linked)} more are files of datasets, too, and cost nothing")
    out.print(f"{size(total)}, of which `mlimg cache prune{named}` frees {size(spare)}\n")


def show_pruned(pruned: CachePruned, folder: Path) -> None:
    """Print what was removed, or would be, and how many bytes that frees."""
    if not pruned.looked:
        err.print(f"nothing of that is kept in {folder}: is it the --out of the builds?")
    if pruned.stages or pruned.runs:
        listed = table("of", "removed", "results", "size", right=("results", "size"))
        for one in pruned.stages:
            what = "left by kills" if one.stage == "tmp" else one.stage
            listed.add_row(one.store, what, f"{one.entries:,}", size(one.bytes))
        for run in pruned.runs:
            parts = ["checkpoints"] if run.checkpoints else []
            parts += ["optimizer"] if run.slimmed else []
            scratch = run.folder.name == "scratch"
            folder = run.folder.parent if scratch else run.folder
            name = f"{folder.parent.name}/{folder.name[:KEY]}" + (" from scratch" if scratch else "")
            listed.add_row(name, " and ".join(parts), f"{run.checkpoints + run.slimmed:,}", size(run.bytes))
        out.print(listed)
    for name in pruned.unbuilt:
        err.print(
            f"{name}: no build ended here yet, so nothing is removed; name its spec to keep what that needs"
        )
    word = "would be freed" if pruned.dry_run else "freed"
    out.print(f"{size(pruned.bytes)} {word}")


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds else "-"
