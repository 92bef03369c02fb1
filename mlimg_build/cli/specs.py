"""Verbs for specs: write one, check it, plan and lock its decisions."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from mlimg_build.errors import Problem

from .options import (
    AsJson,
    BackendFile,
    FetchStore,
    Fraction,
    LockFolder,
    Out,
    Quiet,
    SpecFile,
    check_fraction,
    load,
    lock_folder,
    plain,
    print_json,
    print_result,
)

__all__ = ["check", "compile_wordnet", "init", "lint", "lock", "plan", "schema"]


def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The file to write.")] = Path("spec.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="PATH",
            help="Look at this folder or file, and write the spec for what is there.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write a commented spec to start from, or the one for a folder or file that is there."""
    from mlimg_build.errors import SpecError
    from mlimg_build.spec import init_text

    if path.exists() and not force:
        raise SpecError(
            Problem("spec-exists", f"{path} exists already", hint="give another name, or --force")
        )
    if source is not None:
        _write_proposal(source, path, force=force, quiet=quiet)
        return
    path.write_text(init_text(path.stem), encoding="utf-8")
    print(f"wrote {path}; next: mlimg check {path}", file=sys.stderr)


def _write_proposal(source: Path, path: Path, *, force: bool, quiet: bool) -> None:
    """Write the spec for what lies at `source`, and show what is understood with it."""
    from mlimg_build import terminal
    from mlimg_build.compiler.proposal.proposal import propose
    from mlimg_build.errors import SpecError

    with terminal.Watcher(quiet=quiet) as watcher:
        made = propose(source, path, watcher.step)
    for file, text in made.files.items():
        if file.exists() and not force:
            hint = "give the spec another name, or --force"
            raise SpecError(Problem("spec-exists", f"{file.name} exists already", hint=hint))
        file.write_text(text, encoding="utf-8")
    path.write_text(made.text, encoding="utf-8")
    terminal.show_problems(made.problems)
    terminal.show_understood(made.sources)
    wrote = " and ".join([str(path), *(file.name for file in made.files)])
    names = "1 name" if len(made.own) == 1 else f"{len(made.own):,} names"
    own = f" with {names} as categories of your own, to be placed" if made.own else ""
    print(f"wrote {wrote}{own}; next: look at it, then mlimg check --deep {path}", file=sys.stderr)
    if made.failed:
        raise typer.Exit(1)


def check(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC...", help="Specs, YAML files.", show_default=False)
    ],
    deep: Annotated[
        bool,
        typer.Option(
            "--deep", help="Read the sources' lists and folders, too, and show what was understood."
        ),
    ] = False,
    out: Out = Path("build"),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show every problem of one or several specs, without reading their sources."""
    from mlimg_build.errors import MlimgError

    told, errors = [], []
    for spec in specs:
        try:
            result, sound, shown = _checked(spec)
            if deep:
                result |= _understood(spec, out, shown, quiet=quiet, as_json=as_json)
            told.append(result)
            if not as_json:
                print(sound)
        except MlimgError as error:
            errors.append(error)
    if errors:
        raise type(errors[0])(problem for error in errors for problem in error.problems)
    if as_json:
        print_json(told[0] if len(told) == 1 else {"specs": told})


def _understood(
    spec: Path, out: Path, shown: Collection[Problem], *, quiet: bool, as_json: bool
) -> dict[str, Any]:
    """Return what is understood of the sources of a spec, and the warnings; shown are all not in `shown`."""
    from mlimg_build import terminal
    from mlimg_build.compiler.plan.lost_images import refuse_lost
    from mlimg_build.compiler.plan_stage import plan as make
    from mlimg_build.compiler.understood import understood

    with terminal.Watcher(quiet=quiet) as watcher:
        made = make(load(spec), out, 1.0, watcher.step)
    terminal.show_problems([problem for problem in made.warnings if problem not in shown])
    found = understood(made.loaded.spec, made.inputs.catalogs, made.facts, made.graph)
    if not as_json:
        terminal.show_understood(found)
    refuse_lost(made)  # what a build would be refused for
    return {
        "warnings": [str(problem) for problem in made.warnings],
        "understood": {name: one.record() for name, one in found.items()},
    }


def _checked(spec: Path) -> tuple[dict[str, Any], str, list[Problem]]:
    """Return the result of `check` for one spec, the line that it has no error, and its warnings, which are shown."""
    from mlimg_build import terminal
    from mlimg_build.compiler.facts.category_names import folder_problems
    from mlimg_build.compiler.facts.preflight import check_mapping, load_nouns, missing_paths
    from mlimg_build.errors import MlimgError, SpecError

    loaded = load(spec)
    absent = missing_paths(loaded, lenient=True)
    errors = [problem for problem in absent if problem.severity == "error"] + folder_problems(loaded)
    warnings = [*loaded.warnings, *(problem for problem in absent if problem.severity == "warning")]
    try:
        graph = load_nouns(loaded)
        unsigned = [] if graph is None else [*check_mapping(loaded, graph)]
        errors += [problem for problem in unsigned if problem.severity == "error"]
        warnings += [problem for problem in unsigned if problem.severity == "warning"]
    except MlimgError as error:
        errors += error.problems
    terminal.show_problems(warnings)
    if errors:
        raise SpecError(errors)
    sources = "1 source" if len(loaded.spec.sources) == 1 else f"{len(loaded.spec.sources)} sources"
    sound = f"{spec}: {loaded.spec.name} {loaded.spec.version}, {sources}, no errors"
    result = {
        "name": loaded.spec.name,
        "digest": loaded.digest,
        "warnings": [str(problem) for problem in warnings],
    }
    return result, sound, warnings


def schema() -> None:
    """Print the JSON Schema of specs, for editors."""
    from mlimg_build.spec import json_schema

    print_json(json_schema())


def plan(
    spec: SpecFile,
    out: Out = Path("build"),
    fraction: Fraction = 1.0,
    store: FetchStore = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what a build would do, and why."""
    from mlimg_build import terminal
    from mlimg_build.compiler.plan.lost_images import lost_problems, refuse_lost
    from mlimg_build.compiler.plan.plan_summary import plan_summary
    from mlimg_build.compiler.plan_stage import outlook
    from mlimg_build.compiler.plan_stage import plan as make
    from mlimg_build.compiler.understood import understood
    from mlimg_build.compiler.urls.fetch_stage import fetch_place
    from mlimg_build.errors import LabelError
    from mlimg_build.spec import Backend

    check_fraction(fraction)
    with terminal.Watcher(quiet=quiet) as watcher:
        made = make(load(spec), out, fraction, watcher.step)
    terminal.show_problems(made.warnings)
    ahead = outlook(made, out, fetch_place(out, Backend(), store))
    summary = {**plan_summary(made), "fetch": plain(ahead) if ahead is not None else None}
    found = understood(made.loaded.spec, made.inputs.catalogs, made.facts, made.graph)
    if not as_json:
        terminal.show_plan(summary)
        terminal.show_understood(found)
        refuse_lost(made)
        return
    lost = lost_problems(made)
    result = {**summary, "understood": {name: one.record() for name, one in found.items()}}
    print_result(result, LabelError(lost) if lost else None)


def lock(
    spec: SpecFile,
    out: Out = Path("build"),
    to: LockFolder = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Write nothing; exit 3 with what changed where the lock is another, 1 without a lock.",
        ),
    ] = False,
    backend: BackendFile = None,
    quiet: Quiet = False,
) -> None:
    """Write what is decided from the sources, to be reviewed and kept in git; reads no image.

    NAME.lock beside the spec is the one that counts: --check and `build --locked` compare with it, and only this
    command writes it. build/NAME.lock is written by every build, tells what its dataset was built from, and is never
    compared with.
    """
    from mlimg_build import terminal
    from mlimg_build.compiler.lock.lock_reader import read_lock
    from mlimg_build.compiler.lock_stage import check_lock
    from mlimg_build.compiler.lock_stage import lock as write
    from mlimg_build.spec import load_backend

    loaded = load(spec)
    folder = to or lock_folder(spec, loaded)
    with terminal.Watcher(quiet=quiet) as watcher:
        act = check_lock if check else write
        made = act(loaded, out, folder, load_backend(backend), watcher)
    terminal.show_problems(made.warnings)
    if check:
        print(f"{folder}: up to date", file=sys.stderr)
    elif not quiet:
        terminal.show_unproved(read_lock(folder).unbuilt, len(made.work))
    print(folder)


def lint(
    spec: SpecFile,
    out: Out = Path("build"),
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write every finding to this CSV.")
    ] = None,
    parts: Annotated[
        Path | None,
        typer.Option(
            "--parts", metavar="FILE", help="Write the parts and wholes among the categories to this CSV."
        ),
    ] = None,
    backend: BackendFile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what to look at before trusting the labels: categories, rules that never fired, contradictions, copies."""
    from dataclasses import asdict

    from mlimg_build import terminal
    from mlimg_build.compiler.lint.findings import PART_COLUMNS, lint_plan, part_rows
    from mlimg_build.compiler.lock_stage import labelled
    from mlimg_build.compiler.run.csv_files import as_csv
    from mlimg_build.spec import load_backend

    loaded = load(spec)
    with terminal.Watcher(quiet=quiet) as watcher:
        found, rows = labelled(
            loaded,
            out,
            load_backend(backend),
            lambda plan, store: (
                lint_plan(plan, store),
                part_rows(plan.graph, plan.facts.vocabulary.wnids) if parts else [],
            ),
            watcher,
        )
    if parts:
        parts.write_bytes(as_csv(PART_COLUMNS, rows))
    if to:
        columns = ("kind", "wnid", "name", "count", "related", "message")
        listed = [
            *(
                (one.kind, one.wnid, found.names[one.wnid], one.count, " ".join(one.related), one.message)
                for one in found.findings
            ),
            *((one.code, "", str(one.place), "", "", one.message) for one in (*found.joins, *found.unused)),
            *(
                (
                    "contradiction",
                    *(row[0], row[1], row[8], row[3]),
                    f"{row[1]} absent by {row[2]}, {row[4]} present by {row[5]} ({row[6]}), "
                    f"stands: {row[7]}; such as {row[9]}",
                )
                for row in found.contradictions
            ),
            *(
                ("copy", "", one.images[0], len(one.images), " ".join(one.images[1:]), one.message)
                for one in found.copies
            ),
            *(
                (
                    "pair-doubtful",
                    *(one.antecedent, one.antecedent_name, one.adds, one.consequent),
                    f"{one.consequent_name} is {one.doubt}: seen in {one.together} of {one.images} images, "
                    f"adds up to {one.adds}, {one.fate}",
                )
                for one in found.pairs
            ),
        ]
        to.write_bytes(as_csv(columns, listed))
    if as_json:
        texts = {"joins": list(map(str, found.joins)), "unused": list(map(str, found.unused))}
        print_json({**asdict(found), **texts})
    else:
        terminal.show_lint(found)


def compile_wordnet(
    corpus: Annotated[
        Path, typer.Argument(metavar="DIR", help="An NLTK corpus folder, or /usr/share/wordnet of Debian.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")] = Path(
        "wordnet-nouns.npz"
    ),
) -> None:
    """Compile the nouns of a WordNet release into one file that specs can name; their glosses go into one beside it."""
    from mlimg_build.wordnet import compile_corpus, read_glosses, save, save_glosses

    graph = compile_corpus(corpus)
    glosses = read_glosses(corpus)
    save(graph, to)
    beside = save_glosses(glosses, graph, to)
    print(f"WordNet {graph.release}: {len(graph)} noun synsets, digest {graph.digest}", file=sys.stderr)
    print(f"their glosses, {len(glosses)}, are in {beside}", file=sys.stderr)
    print(to)
