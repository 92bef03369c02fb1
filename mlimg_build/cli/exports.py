"""The verb that writes a dataset in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import AsJson, Dataset, Quiet, print_json

__all__ = ["export"]


def export(
    dataset: Dataset,
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Where it goes; a former export is replaced.", show_default=False),
    ],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="The format: webdataset.")],
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split", help="A split to export; may be given again. Default: all.", show_default=False
        ),
    ] = None,
    copies: Annotated[
        Literal["once", "all"],
        typer.Option(
            "--copies",
            help="Of images with the same bytes: once, with the labels of all; or all, each with its own.",
        ),
    ] = "once",
    images: Annotated[
        int, typer.Option("--images-per-file", metavar="N", min=1, help="At most so many images a file.")
    ] = 100_000,
    size: Annotated[
        int, typer.Option("--bytes-per-file", metavar="N", min=1, help="At most so many bytes a file.")
    ] = 1_000_000_000,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write a dataset in another format: webdataset is tars of the stored images, each with a JSON of its labels."""
    from mlimg_build import terminal
    from mlimg_build.exporters import EXPORTERS, Limits
    from mlimg_build.exporters import export as write

    if to not in EXPORTERS:
        raise typer.BadParameter(f"{to!r} is none of: {', '.join(EXPORTERS)}", param_hint="--to")
    with terminal.counting("exporting", quiet=quiet) as advance:
        exported = write(
            dataset,
            folder,
            to,
            EXPORTERS[to],
            splits=split or (),
            copies=copies,
            limits=Limits(images, size),
            advance=advance,
        )
    if as_json:
        from dataclasses import asdict

        print_json(asdict(exported))
    else:
        terminal.show_exported(exported)
