"""Arguments and options that several verbs share, and their handling."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from mlimg_build.printable import printable_json

if TYPE_CHECKING:
    from mlimg_build.errors import MlimgError, Problem
    from mlimg_build.spec import LoadedSpec

__all__ = [
    "AsJson",
    "Asked",
    "BackendFile",
    "Dataset",
    "Device",
    "FetchStore",
    "Fraction",
    "LockFolder",
    "Model",
    "Out",
    "Quiet",
    "SpecFile",
    "Verbose",
    "check_fraction",
    "end_failed",
    "load",
    "lock_folder",
    "plain",
    "print_failure",
    "print_json",
    "print_result",
]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset, NAME.zarr.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where datasets and the cache go.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model, NAME.model.", show_default=False)]
BackendFile = Annotated[
    Path | None,
    typer.Option(
        "--backend",
        metavar="FILE",
        envvar="MLIMG_BACKEND",
        help="Where it runs; default: one worker a core, here.",
    ),
]

FetchStore = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar="MLIMG_STORE",
        help="Where images that are fetched are kept, for all specs: a folder, or s3://BUCKET/PREFIX.",
    ),
]


@dataclass(slots=True)
class Asked:
    """The options that `main` must know; set while the command line is parsed."""

    as_json: bool = False


def _ask_json(context: typer.Context, wanted: bool) -> bool:
    if isinstance(asked := context.find_root().obj, Asked):
        asked.as_json = wanted
    return wanted


AsJson = Annotated[
    bool,
    typer.Option(
        "--json", callback=_ask_json, help="Print one JSON object; of a failure, its problems and exit code."
    ),
]
Fraction = Annotated[
    float,
    typer.Option(
        "--fraction", metavar="F", help="Build the first shards only: 0.01 is 1 %, at least one shard."
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress; warnings, errors and results stay.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Write the log to stderr, too: each step with its time.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]


LockFolder = Annotated[
    Path | None,
    typer.Option("--lock", "--to", metavar="DIR", help="The lock; default NAME.lock beside the spec."),
]


def lock_folder(spec: Path, loaded: LoadedSpec) -> Path:
    """Return the default folder of a spec's lock."""
    return spec.with_name(f"{loaded.spec.name}.lock")


def load(path: Path) -> LoadedSpec:
    """Return the spec at `path`. Raises `SpecError` if it has errors."""
    from mlimg_build.spec import load_spec

    return load_spec(path)


def check_fraction(fraction: float) -> None:
    """Raises `BadParameter` if the fraction is not above 0 and at most 1."""
    if not 0 < fraction <= 1:
        raise typer.BadParameter(f"{fraction:g} is not above 0 and at most 1", param_hint="--fraction")


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass as a dict with its paths as text."""
    from dataclasses import asdict

    return {key: str(part) if isinstance(part, Path) else part for key, part in asdict(value).items()}


def print_failure(
    problems: Iterable[Problem], exit_code: int, result: Mapping[str, Any] | None = None
) -> None:
    """Print the problems that ended a command as one JSON object, together with the results that it left."""
    print_json(
        {
            **(result or {}),
            "problems": [
                {
                    "code": one.code,
                    "severity": one.severity,
                    "file": one.place.file if one.place else None,
                    "line": one.place.line if one.place else None,
                    "column": one.place.column if one.place else None,
                    "message": one.message,
                    "hint": one.hint,
                }
                for one in problems
            ],
            "exit_code": exit_code,
        }
    )


def end_failed(error: MlimgError, result: Mapping[str, Any]) -> NoReturn:
    """End a verb with `--json` that failed and left results: one object holds both."""
    from mlimg_build import terminal

    terminal.show_problems(error.problems)
    print_failure(error.problems, error.exit_code, result)
    raise typer.Exit(error.exit_code)


def print_result(result: Mapping[str, Any], failure: MlimgError | None) -> None:
    """Print the result of a verb with `--json` as one object; that of one that failed has its problems, and ends it."""
    if failure is not None:
        end_failed(failure, result)
    print_json(result)


def print_json(value: Any) -> None:
    """Print one JSON object."""
    try:
        print(printable_json(json.dumps(value, indent=2, ensure_ascii=False, default=str)), flush=True)
    except BrokenPipeError:  # typer would report one with an errno as a failure
        raise BrokenPipeError from None
