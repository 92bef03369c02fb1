"""`mlimg`: one function a verb. stdout carries data, stderr progress; every error is shown with what to do."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from mlimg_build import __version__
from mlimg_build.errors import MlimgError, Problem

if TYPE_CHECKING:
    from mlimg_build.build.modelling import Modelled
    from mlimg_build.spec import LoadedSpec

app = typer.Typer(
    name="mlimg",
    help="One YAML spec in, a reproducible image dataset and its trained model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
wordnet = typer.Typer(help="WordNet's nouns.", no_args_is_help=True)
app.add_typer(wordnet, name="wordnet")

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset, NAME.zarr.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where datasets and the cache go.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model, NAME.model.", show_default=False)]
BackendFile = Annotated[
    Path | None,
    typer.Option("--backend", metavar="FILE", help="Where it runs; default: one worker a core, here."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Fraction = Annotated[
    float,
    typer.Option(
        "--fraction", metavar="F", help="Build the first shards only: 0.01 is 1 %, at least one shard."
    ),
]


def main() -> NoReturn:
    """Runs the command line and exits: 0 done, 1 handled failure, 2 usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(standalone_mode=True)
    except MlimgError as error:
        from mlimg_build import terminal

        terminal.show_problems(error.problems)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of stdout went away, as `| head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        from mlimg_build import terminal

        terminal.show_problems([_as_problem(error)])
        sys.exit(1)
    finally:  # all is done: what interrupts now would only change the exit code
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _as_problem(error: OSError) -> Problem:
    """What the operating system refused, for people."""
    what = error.strerror or str(error)
    where = f": {error.filename}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return Problem(
            "disk-full", f"the disk is full{where}", hint="free some space and run the same command again"
        )
    return Problem(
        "system-error", f"{what[:1].lower()}{what[1:]}{where}", hint="check the path and its permissions"
    )


def _terminated(signum: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mlimg {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One YAML spec in, a reproducible image dataset and its trained model out."""


@app.command()
def init(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The file to write.")] = Path("spec.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented spec to start from."""
    from mlimg_build.errors import SpecError
    from mlimg_build.spec import init_text

    if path.exists() and not force:
        raise SpecError(
            Problem("spec-exists", f"{path} exists already", hint="give another name, or --force")
        )
    path.write_text(init_text(path.stem), encoding="utf-8")
    print(f"wrote {path}; next: mlimg check {path}", file=sys.stderr)


@app.command()
def check(spec: SpecFile, as_json: AsJson = False) -> None:
    """Show every problem of a spec, without reading its sources."""
    from dataclasses import replace

    from mlimg_build import terminal
    from mlimg_build.build.checking import check_ids, load_wordnet, missing_paths

    loaded = _load(spec)
    warnings = [
        *loaded.warnings,
        *(replace(problem, severity="warning") for problem in missing_paths(loaded)),
    ]
    terminal.show_problems(warnings)
    check_ids(loaded, load_wordnet(loaded))
    if as_json:
        _print_json(
            {
                "name": loaded.spec.name,
                "digest": loaded.digest,
                "warnings": [str(problem) for problem in warnings],
            }
        )
    else:
        print(
            f"{spec}: {loaded.spec.name} {loaded.spec.version}, {len(loaded.spec.sources)} sources, no errors"
        )


@app.command()
def schema() -> None:
    """Print the JSON Schema of specs, for editors."""
    from mlimg_build.spec import json_schema

    _print_json(json_schema())


@app.command()
def plan(spec: SpecFile, out: Out = Path("build"), fraction: Fraction = 1.0, as_json: AsJson = False) -> None:
    """Show what a build would do, and why."""
    from mlimg_build import terminal
    from mlimg_build.build.compiling import plan as make

    _check_fraction(fraction)
    with terminal.Watcher() as watcher:
        made = make(_load(spec), out, fraction, watcher.step)
    terminal.show_problems(made.warnings)
    if as_json:
        _print_json(made.summary())
    else:
        terminal.show_plan(made.summary())


@app.command()
def lock(
    spec: SpecFile,
    out: Out = Path("build"),
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="The lock; default NAME.lock beside the spec.")
    ] = None,
) -> None:
    """Write what is decided from the sources, to be reviewed and kept in git; builds nothing."""
    from mlimg_build import terminal
    from mlimg_build.build.compiling import lock as write

    loaded = _load(spec)
    folder = to or spec.with_name(f"{loaded.spec.name}.lock")
    with terminal.Watcher() as watcher:
        made = write(loaded, out, folder, watcher.step)
    terminal.show_problems(made.warnings)
    print(folder)


@app.command()
def build(
    spec: SpecFile,
    out: Out = Path("build"),
    backend: BackendFile = None,
    fraction: Fraction = 1.0,
    repair: Annotated[
        bool, typer.Option("--repair", help="Check the dataset that is there first and mend what is damaged.")
    ] = False,
    until: Annotated[
        Literal["dataset", "model"] | None,
        typer.Option("--until", help="Stop after the dataset, or after the model and before its transfer."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build all that a spec declares: dataset, model, report; what is there already is not made again."""
    from dataclasses import asdict

    from mlimg_build import terminal
    from mlimg_build.build.compiling import build as compile_spec
    from mlimg_build.build.reporting import write_report
    from mlimg_build.spec import load_backend

    _check_fraction(fraction)
    loaded = _load(spec)
    cluster = load_backend(backend)
    with terminal.Watcher() as watcher:
        built = compile_spec(loaded, out, cluster, fraction, watcher, repair)
    terminal.show_problems(built.warnings)
    told = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(built).items()}
    if not as_json:
        terminal.show_built(built)
    made: Modelled | None = None
    try:
        if loaded.spec.training is not None and until != "dataset":
            from mlimg_build.build.modelling import make_model

            with terminal.Watcher() as watcher:
                made = make_model(
                    loaded, out, cluster, fraction=fraction, transfer=until is None, watcher=watcher
                )
    finally:
        page = write_report(built.dataset, built.dataset.with_suffix(".html"), made.model if made else None)
    if as_json:
        _print_json({**told, "model": _told(made) if made else None, "report": str(page)})
        return
    if made is not None:
        terminal.show_problems(made.warnings)
        terminal.show_modelled(made)
    print(page)


@app.command()
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
    as_json: AsJson = False,
) -> None:
    """Train the network of a spec on a dataset that is built, and tune it where the spec has a transfer."""
    from mlimg_build import terminal
    from mlimg_build.build.modelling import make_model
    from mlimg_build.build.reporting import write_report
    from mlimg_build.spec import load_backend

    loaded = _load(spec)
    where = load_backend(backend)
    with terminal.Watcher() as watcher:
        made = make_model(
            loaded, out, where, dataset=dataset, start=start, transfer=until is None, watcher=watcher
        )
    page = write_report(made.dataset, made.dataset.with_suffix(".html"), made.model)
    if as_json:
        _print_json({**_told(made), "report": str(page)})
    else:
        terminal.show_problems(made.warnings)
        terminal.show_modelled(made)
        print(page)


@app.command()
def evaluate(
    model: Model,
    dataset: Dataset,
    split: Annotated[str, typer.Option("--split", help="The images to evaluate on.")] = "validation",
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")
    ] = "auto",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Also write the evaluation as JSON.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a model: average precision, precision at k, frequency bands, hierarchy; top-1 and top-5 of a softmax."""
    from mlimg_build import terminal
    from mlimg_build.build.modelling import require_torch

    require_torch()
    from mlimg_build.training.measuring import measure

    with terminal.counting("evaluating") as advance:
        found = measure(model, dataset, split, device, advance)
    if to is not None:
        to.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        _print_json(found)
    else:
        terminal.show_evaluation(found)


@app.command()
def predict(
    model: Model,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES...", help="Image files, or folders of them.", show_default=False),
    ],
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="Labels an image.")] = 5,
    least: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="S",
            min=0,
            max=1,
            help="Leave out labels that score lower; default 0.5, or the best where none reaches it.",
        ),
    ] = None,
    features: Annotated[
        bool, typer.Option("--features", help="Write what the last layer sees instead of labels; wants --to.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", metavar="FILE", help="Write a .parquet, or features as .npy, instead of printing."
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Say what is in images: the top labels, the most specific first; or write feature vectors."""
    from mlimg_build import terminal
    from mlimg_build.build.modelling import require_torch

    allowed = (".parquet", ".npy") if features else (".parquet",)
    if (features and to is None) or (to is not None and to.suffix not in allowed):
        raise typer.BadParameter(f"give a file whose name ends in {' or '.join(allowed)}", param_hint="--to")
    require_torch()
    from mlimg_build.training.using import labels_of, write

    with terminal.counting("predicting") as advance:
        if to is not None:
            count, failed = write(model, images, to, features, top, least, device, advance)
        else:
            found = labels_of(model, images, top, least, device, advance)
            if as_json:
                predicted = list(found)
            else:
                count, failed = terminal.show_predicted(found)
    if to is not None:
        terminal.show_written(to, count, failed)
    elif as_json:
        from dataclasses import asdict

        _print_json(
            {"model": str(model), "images": [{**asdict(one), "path": str(one.path)} for one in predicted]}
        )


@app.command()
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
    from mlimg_build.build.reporting import write_report

    print(write_report(dataset, to or dataset.absolute().with_suffix(".html"), model))


@app.command()
def why(
    dataset: Dataset,
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="The id of an image, with or without its source.")
    ],
    category: Annotated[
        str | None, typer.Argument(metavar="CATEGORY", help="A WordNet id or a name.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the labels of an image came about: source row, mapping, implication, each with its spec line."""
    from mlimg_build import terminal
    from mlimg_build.build.explaining import explain

    told = explain(dataset, image, category)
    if as_json:
        _print_json(told)
    else:
        terminal.show_why(told, whole=category is None)


@app.command()
def verify(dataset: Dataset, as_json: AsJson = False) -> None:
    """Check every digest of a dataset; names the shard and the image at fault."""
    from dataclasses import asdict

    from mlimg_build import terminal
    from mlimg_build.dataset import verify as check_digests

    with terminal.counting("verifying") as advance:
        found = check_digests(dataset, advance)
    if as_json:
        _print_json(asdict(found))
    else:
        terminal.show_verified(dataset, found)
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def info(dataset: Dataset, as_json: AsJson = False) -> None:
    """Show what a dataset holds."""
    from mlimg_build import terminal
    from mlimg_build.dataset import info as describe

    described = describe(dataset)
    if as_json:
        _print_json(described)
    else:
        terminal.show_info(described)


@wordnet.command("compile")
def compile_wordnet(
    corpus: Annotated[
        Path, typer.Argument(metavar="DIR", help="An NLTK corpus folder, or /usr/share/wordnet of Debian.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")] = Path(
        "wordnet-nouns.npz"
    ),
) -> None:
    """Compile the nouns of a WordNet release into one file that specs can name."""
    from mlimg_build.wordnet import compile_corpus, save

    graph = compile_corpus(corpus)
    save(graph, to)
    print(f"WordNet {graph.release}: {len(graph)} noun synsets, digest {graph.digest}", file=sys.stderr)
    print(to)


def _load(path: Path) -> LoadedSpec:
    from mlimg_build.spec import load_spec

    return load_spec(path)


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction <= 1:
        raise typer.BadParameter(f"{fraction:g} is not above 0 and at most 1", param_hint="--fraction")


def _told(made: Modelled) -> dict[str, Any]:
    from dataclasses import asdict

    return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(made).items()}


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
