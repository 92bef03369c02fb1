"""Verbs for what builds and trainings keep besides their results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .options import AsJson, Out, Quiet, load, print_json

__all__ = ["app"]

HELP = ("-h", "--help")

Specs = Annotated[
    list[Path] | None,
    typer.Argument(metavar="SPEC", help="What these need is needed; default: what the last build used."),
]


class ListByDefault(TyperGroup):
    """`mlimg cache` and `mlimg cache SPEC` are `mlimg cache list …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in HELP):
            args = ["list", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=ListByDefault,
    help="What builds keep in .mlimg and trainings in NAME.runs: list it (the default), or prune it.",
    rich_markup_mode=None,
)


@app.command("list")
def list_cache(
    specs: Specs = None, out: Out = Path("build"), quiet: Quiet = False, as_json: AsJson = False
) -> None:
    """Show what is kept: by stage how many results, what they take, when they were used, what needs them."""
    from mlimg_build import terminal
    from mlimg_build.compiler.cache_stage import cache_contents

    loaded = [load(path) for path in specs or ()]
    with terminal.Watcher(quiet=quiet) as watcher:
        found = cache_contents(loaded, out, watcher.step)
    if as_json:
        from dataclasses import asdict

        print_json(asdict(found))
    else:
        terminal.show_cache(found, out)


@app.command("prune")
def prune_cache(
    specs: Specs = None,
    out: Out = Path("build"),
    optimizer: Annotated[
        bool,
        typer.Option(
            "--optimizer",
            help="Also keep only the weights of a finished run's last checkpoint: no --from goes on from it.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Remove what is not needed: with SPECs, of their stores all that they do not need, and nothing of others.

    Without, of every store what neither of the last two builds used and nobody touched since. Finished runs keep their
    last checkpoint. What a dataset shares with its store stays.
    """
    from mlimg_build import terminal
    from mlimg_build.compiler.cache_stage import prune_cache as prune

    loaded = [load(path) for path in specs or ()]
    with terminal.Watcher(quiet=quiet) as watcher:
        pruned = prune(loaded, out, watcher.step, optimizer=optimizer, dry_run=dry_run)
    terminal.show_problems(pruned.busy)
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(pruned), "bytes": pruned.bytes})
    else:
        terminal.show_pruned(pruned, out)
    if pruned.busy:
        raise typer.Exit(1)
