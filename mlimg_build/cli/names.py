"""Verbs for names: which synset each means, reviewed by people."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AsJson, Out, Quiet, SpecFile, end_failed, load, print_json

if TYPE_CHECKING:
    from mlimg_build.compiler.plan.plan import Plan

__all__ = ["find_noun", "map_names", "synset"]

PICTURES = 3  # of a category, whose paths are shown
NOTHING = "nothing is in doubt; --all goes through all names, --name WORD through one"


def map_names(
    spec: SpecFile,
    out: Out = Path("build"),
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="The CSV; default: the spec's `vocabulary.mapping.file`, else NAME.mapping.csv beside the spec.",
        ),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Go through the doubtful ones here, one key each.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write one page with pictures, on which people decide in a browser.",
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--all",
            help="With --review or --html: all names, those in doubt first, not the doubtful ones alone.",
        ),
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="WORD",
            help="With --review or --html: this name or id of the source alone, however certain; may be repeated.",
        ),
    ] = None,
    reviewer: Annotated[
        str | None,
        typer.Option("--reviewer", metavar="NAME", help="Who decides; default: the name of the user."),
    ] = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Write which WordNet synset every source category becomes, with the evidence, as a CSV to be reviewed."""
    from mlimg_build import terminal
    from mlimg_build.compiler.lint.mapping_review import for_review, review_records, write_review
    from mlimg_build.compiler.plan_stage import plan as make

    if (review or html) and as_json:
        raise typer.BadParameter("--json shows what is decided already", param_hint="--review, --html")
    if (whole or names) and not (review or html):
        raise typer.BadParameter("add --review or --html FILE", param_hint="--name" if names else "--all")
    loaded = load(spec)
    named = loaded.spec.vocabulary.mapping.file
    path = to or named or spec.with_name(f"{loaded.spec.name}.mapping.csv")
    looked = for_review(loaded, path if review or html else None)
    if named is not None and looked.spec.vocabulary.mapping.file is None:
        print(f"{named} is not there yet, so no decision of people is read", file=sys.stderr)
    with terminal.Watcher(quiet=quiet) as watcher:
        made = make(looked, out, 1.0, watcher.step)
    unsigned = (problem for problem in made.facts.warnings if problem.code == "mapping-unsigned")
    terminal.show_problems([*made.inputs.joins, *unsigned])
    if as_json:
        print_json(review_records(made.loaded.spec, made.facts, made.graph))
        return
    if html:
        _write_page(made, html, path, reviewer or _user(), whole, names or ())
        return
    if path == named:
        path.parent.mkdir(parents=True, exist_ok=True)
    rows, reviewed = write_review(made.loaded.spec, made.facts, made.graph, path)
    if review:
        _review(made, path, reviewer, whole, names or ())
    else:
        terminal.show_review(made.facts, path, rows, reviewed, named)
    if review and (named is None or named.resolve() != path.resolve()):
        print(f"name the file in the spec: mapping: {{file: {path.name}}}", file=sys.stderr)
    print(path)


def _review(made: Plan, path: Path, reviewer: str | None, whole: bool, names: Collection[str]) -> None:
    from functools import partial

    from mlimg_build import terminal
    from mlimg_build.compiler.lint.review_file import ReviewFile
    from mlimg_build.compiler.lint.review_items import candidates_of, picture_paths, review_items

    file = ReviewFile(path, made.graph, reviewer or _user())
    items = review_items(made, PICTURES, whole=whole, names=names, rows=file.rows)
    if not items:
        print("no name is to be decided" if whole else NOTHING, file=sys.stderr)
        return
    search, places = partial(candidates_of, graph=made.graph), partial(picture_paths, made)
    terminal.review_at_terminal(items, file, search, places, chosen=whole or bool(names))


def _write_page(
    made: Plan, html: Path, path: Path, reviewer: str, whole: bool, names: Collection[str]
) -> None:
    from mlimg_build.compiler.lint.review_page import write_page

    shown, more = write_page(made, html, path, reviewer, whole=whole, names=names)
    rest = f", {more:,} more are {'not' if whole or names else 'in doubt'}" if more else ""
    print(f"{shown:,} categories are on the page{rest}; it gives back {path.name}", file=sys.stderr)
    print(html)


def _user() -> str:
    """Return the name of who runs this; a system without a name for it has a word that says what happened."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "reviewed"


def synset(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="WORD...", help="A name of one or several words; or a WordNet id.", show_default=False
        ),
    ],
    spec: Annotated[
        Path | None,
        typer.Option(
            "--spec", metavar="SPEC", help="Count the images of this spec; reads its sources' lists."
        ),
    ] = None,
    out: Out = Path("build"),
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Show what a name may mean: ids, names, what is above and below, other senses, near spellings, images."""
    from mlimg_build import terminal
    from mlimg_build.compiler.facts.noun_search import describe_nouns, no_noun
    from mlimg_build.compiler.lint.mapping_review import for_review
    from mlimg_build.compiler.plan_stage import plan as make
    from mlimg_build.wordnet import load as load_nouns

    name, placed = " ".join(words), None
    if spec is None:
        graph = load_nouns()
    else:
        with terminal.Watcher(quiet=quiet) as watcher:
            made = make(for_review(load(spec)), out, 1.0, watcher.step)
        graph, placed = made.graph, made.facts.vocabulary.placed
    told = describe_nouns(graph, name, placed)
    if not told["synsets"]:
        error = no_noun(graph, name, told["near"])
        if as_json:
            end_failed(error, told)
        raise error
    if as_json:
        print_json(told)
    else:
        terminal.show_synsets(told, None if spec is None else str(spec))


def find_noun(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name; or a WordNet id.")],
    as_json: AsJson = False,
) -> None:
    """Show what a name may mean; the same as `mlimg synset`."""
    synset([name], as_json=as_json)
