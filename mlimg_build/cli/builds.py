"""Verbs that build what a spec declares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mlimg_build.compiler.model_stage import Modelled

from .options import (
    AsJson,
    BackendFile,
    FetchStore,
    Fraction,
    LockFolder,
    Out,
    Quiet,
    SpecFile,
    Verbose,
    check_fraction,
    load,
    lock_folder,
    plain,
    print_json,
    print_result,
)

__all__ = ["build", "fetch", "train"]


def build(
    spec: SpecFile,
    out: Out = Path("build"),
    backend: BackendFile = None,
    fraction: Fraction = 1.0,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Check all that is stored first, ask the sources again for images without bytes, and mend both.",
        ),
    ] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Build only what the lock says; exit 3 with what changed.")
    ] = False,
    lock: LockFolder = None,
    until: Annotated[
        Literal["dataset", "model"] | None,
        typer.Option("--until", help="Stop after the dataset, or after the model and before its transfer."),
    ] = None,
    store: FetchStore = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask for no URL; images at URLs are used as they came before.")
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Build all that a spec declares: dataset, model, report; what is there already is not made again."""
    from mlimg_build import terminal
    from mlimg_build.compiler.model_stage import check_model, make_model
    from mlimg_build.compiler.pipeline import build as compile_spec
    from mlimg_build.compiler.report_stage import write_report
    from mlimg_build.compiler.requirements import require_dataset, require_model
    from mlimg_build.compiler.urls.fetch_stage import fetch_place
    from mlimg_build.errors import BelowRequired
    from mlimg_build.spec import load_backend
    from mlimg_build.terminal.build_log import build_log

    check_fraction(fraction)
    loaded = load(spec)
    cluster = load_backend(backend)
    if until != "dataset":
        check_model(loaded)
    with build_log(out / f"{loaded.spec.name}.log", verbose=verbose):
        with terminal.Watcher(quiet=quiet or verbose) as watcher:
            kept = (lock or lock_folder(spec, loaded)) if locked else None
            place = fetch_place(out, cluster, store)
            built = compile_spec(loaded, out, cluster, fraction, watcher, repair, kept, place, offline)
        terminal.show_problems(built.warnings)
        if not as_json:
            terminal.show_built(built)
        made: Modelled | None = None
        try:
            if built.failure is None and loaded.spec.training is not None and until != "dataset":
                with terminal.Watcher(quiet=quiet or verbose) as watcher:
                    made = make_model(
                        loaded, out, cluster, fraction=fraction, transfer=until is None, watcher=watcher
                    )
        finally:
            page = write_report(
                built.dataset, built.dataset.with_suffix(".html"), made.model if made else None
            )
        if not as_json:
            if made is not None:
                terminal.show_problems(made.warnings)
                terminal.show_modelled(made)
            print(page)
        below = require_dataset(loaded, built, fraction)
        below += require_model(loaded, made, fraction) if made is not None else []
        failure = built.failure or (BelowRequired(below) if below else None)
        if failure is not None and not as_json:
            raise failure
    if as_json:
        result = {**plain(built), "model": plain(made) if made else None, "report": str(page)}
        print_result(result, failure)


def fetch(
    spec: SpecFile,
    out: Out = Path("build"),
    backend: BackendFile = None,
    fraction: Fraction = 1.0,
    store: FetchStore = None,
    domains: Annotated[
        Path | None,
        typer.Option(
            "--domains", metavar="FILE", help="Write a CSV: by domain, what came, when, and what was refused."
        ),
    ] = None,
    digests: Annotated[
        Path | None,
        typer.Option(
            "--digests",
            metavar="FILE",
            help="Write Parquet: what every URL gave, for `fetch.digests` of a spec that is to be built again from it.",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the images of a spec that lie at URLs; a rerun asks only for what may be otherwise now."""
    from mlimg_build import terminal
    from mlimg_build.compiler.run_stage import fetch as fetch_spec
    from mlimg_build.compiler.urls.fetch_stage import fetch_place
    from mlimg_build.spec import load_backend
    from mlimg_build.terminal.build_log import build_log

    check_fraction(fraction)
    loaded = load(spec)
    cluster = load_backend(backend)
    place = fetch_place(out, cluster, store)
    log = build_log(out / f"{loaded.spec.name}.log", verbose=verbose)
    with log, terminal.Watcher(quiet=quiet or verbose) as watcher:
        found = fetch_spec(loaded, out, cluster, place, fraction, watcher, domains, digests)
    if as_json:
        print_json({"fetched": plain(found) if found is not None else None, "store": place.store})
    else:
        terminal.show_fetched(found, place.store)


def train(
    spec: SpecFile,
    out: Out = Path("build"),
    backend: BackendFile = None,
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="DATASET", help="The dataset; default: that of the spec in --out."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Go on from this checkpoint, step-N.pt, of the same dataset."
        ),
    ] = None,
    until: Annotated[
        Literal["model"] | None, typer.Option("--until", help="Stop after the model, before its transfer.")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
) -> None:
    """Train the network of a spec on a dataset that is built, and tune it where the spec has a transfer."""
    from mlimg_build import terminal
    from mlimg_build.compiler.model_stage import make_model
    from mlimg_build.compiler.report_stage import write_report
    from mlimg_build.compiler.requirements import require_model
    from mlimg_build.errors import BelowRequired
    from mlimg_build.spec import load_backend
    from mlimg_build.terminal.build_log import build_log

    loaded = load(spec)
    where = load_backend(backend)
    with build_log(out / f"{loaded.spec.name}.log", verbose=verbose):
        with terminal.Watcher(quiet=quiet or verbose) as watcher:
            made = make_model(
                loaded, out, where, dataset=dataset, start=start, transfer=until is None, watcher=watcher
            )
        page = write_report(made.dataset, made.dataset.with_suffix(".html"), made.model)
        if not as_json:
            terminal.show_problems(made.warnings)
            terminal.show_modelled(made)
            print(page)
        below = require_model(loaded, made, 1.0)
        failure = BelowRequired(below) if below else None
        if failure is not None and not as_json:
            raise failure
    if as_json:
        print_result({**plain(made), "report": str(page)}, failure)
