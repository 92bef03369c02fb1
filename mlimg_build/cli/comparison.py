"""The verb that compares two specs, locks or datasets, in any combination."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, BackendFile, Out, Quiet, print_json

__all__ = ["diff"]

SIDE = "A spec (NAME.yaml), a lock (NAME.lock) or a dataset (NAME.zarr)."
DIFFERENT = 3


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help=SIDE, show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help=SIDE, show_default=False)],
    out: Out = Path("build"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a pull request.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 3 where the two differ.")] = False,
    backend: BackendFile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what changes from A to B: categories, mappings, labels by rule, the largest effects; reads no image.

    To compare with another branch, check it out beside this one: git worktree add ../main main
    """
    from mlimg_build import terminal
    from mlimg_build.compiler.diff.loading import compare_paths
    from mlimg_build.spec import load_backend

    if markdown and as_json:
        raise typer.BadParameter("give one of --markdown and --json")
    with terminal.Watcher(quiet=quiet) as watcher:
        found = compare_paths(before, after, out, load_backend(backend), watcher)
    if as_json:
        from mlimg_build.compiler.diff.comparison import as_json as told
        from mlimg_build.compiler.diff.sections import summary

        print_json({"summary": summary(found), **told(found)})
    elif markdown:
        from mlimg_build.compiler.diff.markdown import as_markdown

        print(as_markdown(found), end="")
    else:
        terminal.show_differences(found)
    if exit_code and found.different:
        raise typer.Exit(DIFFERENT)
