"""Verbs for built datasets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    AsJson,
    Dataset,
    FetchStore,
    Quiet,
    print_json,
)

if TYPE_CHECKING:
    from mlimg_build.errors import DatasetError

__all__ = ["info", "report", "verify", "why"]


def why(
    dataset: Dataset,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE|CATEGORY", help="The id of an image, with or without its source; or a category."
        ),
    ],
    category: Annotated[
        str | None, typer.Argument(metavar="[CATEGORY]", help="A WordNet id or a name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the labels of an image, or a category, came about: each step with its line in the spec."""
    from mlimg_build import terminal
    from mlimg_build.errors import DatasetError
    from mlimg_build.explain.image_labels import explain

    try:
        told = explain(dataset, image, category)
    except DatasetError as error:
        if error.code != "image-unknown":
            raise
        _explain_other(dataset, image, error, as_json=as_json, image_only=category is not None)
        return
    if as_json:
        print_json(told)
    else:
        terminal.show_why(told, whole=category is None)


def _explain_other(
    dataset: Path, text: str, unknown: DatasetError, *, as_json: bool, image_only: bool
) -> None:
    """Show what `text` is if it is no image of the dataset: a left-out image, a category, or an unused category."""
    from mlimg_build import terminal
    from mlimg_build.compiler.plan.left_out_list import left_out_image, left_out_problem
    from mlimg_build.errors import DatasetError
    from mlimg_build.explain.image_labels import explain_category, unused_category

    show: Callable[[Any], None]
    told: Any
    if left := left_out_image(dataset, text):
        told, show, as_told = left, terminal.show_left_out_image, {"left_out": True, **left}
    elif image_only or (unknown.problems[0].hint or "").startswith("did you mean"):
        raise unknown
    elif unused := unused_category(dataset, text):
        told, show, as_told = unused, terminal.show_unused_category, {"not_used": True, "categories": unused}
    else:
        try:
            told = as_told = explain_category(dataset, text)
        except DatasetError as error:
            some = left_out_problem(dataset) if _may_be_image(text) else None
            raise DatasetError([*unknown.problems, *([some] if some else []), *error.problems]) from error
        show = terminal.show_portrait
    if as_json:
        print_json(as_told)
    else:
        show(told)


def _may_be_image(text: str) -> bool:
    """Return whether a text may be the id of an image: plain words, as of a category, are none."""
    return any(letter.isdigit() or letter in "/._" for letter in text)


def verify(
    dataset: Dataset,
    labels: Annotated[
        bool, typer.Option("--labels", help="Derive every label again from its own origin, too.")
    ] = False,
    absent: Annotated[
        Path | None,
        typer.Option(
            "--absent",
            metavar="LIST",
            help="Prove that nothing is left of the listed images: ids, URLs or sha256, one a line.",
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option("--also", metavar="PATH", help="With --absent: look there, too; any number of times."),
    ] = None,
    store: FetchStore = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check every digest of a dataset; names the shard and the image at fault."""
    from dataclasses import asdict

    from mlimg_build import terminal
    from mlimg_build.dataset import verify as check_digests
    from mlimg_build.explain.label_proofs import prove_labels

    if absent is not None:
        _prove_absent(dataset, absent, store, also or [], quiet=quiet, as_json=as_json)
        return
    with terminal.counting("verifying", quiet=quiet) as advance:
        found = check_digests(dataset, advance)
    proof = None
    # labels of copies cannot be derived from a damaged table of copies
    if labels and found.digest is not None and not any(one.code == "copies-differ" for one in found.findings):
        with terminal.counting("proving", quiet=quiet) as advance:
            proof = prove_labels(dataset, advance)
    if as_json:
        print_json(asdict(found) | ({"labels": asdict(proof)} if proof else {}))
    else:
        terminal.show_verified(dataset, found)
        if proof:
            terminal.show_proof(proof)
    if not found.ok or (proof and not proof.ok):
        raise typer.Exit(1)


def _prove_absent(
    dataset: Path, listed: Path, store: str | None, also: list[Path], *, quiet: bool, as_json: bool
) -> None:
    """Print what is left of listed images; exit 1 if anything is, or if something could not be looked into."""
    from dataclasses import asdict

    from mlimg_build import terminal
    from mlimg_build.compiler.takedown.absence import prove_absent

    with terminal.Watcher(quiet=quiet) as watcher:
        found = prove_absent(dataset, listed, store, also, lambda place: watcher.step(f"looking at {place}"))
    if as_json:
        print_json(asdict(found))
    else:
        terminal.show_absence(found)
    if not found.ok:
        raise typer.Exit(1)


def info(dataset: Dataset, as_json: AsJson = False) -> None:
    """Show what a dataset holds."""
    from mlimg_build import terminal
    from mlimg_build.dataset import info as describe

    described = describe(dataset)
    if as_json:
        print_json(described)
    else:
        terminal.show_info(described)


def report(
    dataset: Dataset,
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="MODEL", help="Its model; default: NAME.model beside it, if there."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="The page; default NAME.html beside the dataset."),
    ] = None,
) -> None:
    """Write one HTML page that shows a dataset and its model; it needs no network to be read."""
    from mlimg_build.compiler.report_stage import write_report

    print(write_report(dataset, to or dataset.resolve().with_suffix(".html"), model))
