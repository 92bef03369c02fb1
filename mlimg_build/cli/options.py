"""Arguments and options that several verbs share, and what every verb does with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from mlimg_build.errors import MlimgError, Problem
    from mlimg_build.spec import LoadedSpec

__all__ = [
    "AsJson",
    "Asked",
    "BackendFile",
    "Dataset",
    "Device",
    "Fraction",
    "LockFolder",
    "Model",
    "Out",
    "SpecFile",
    "check_fraction",
    "end_failed",
    "load",
    "lock_folder",
    "plain",
    "print_failure",
    "print_json",
]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec, a YAML file.", show_default=False)]
Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="A dataset, NAME.zarr.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where datasets and the cache go.")]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model, NAME.model.", show_default=False)]
BackendFile = Annotated[
    Path | None,
    typer.Option("--backend", metavar="FILE", help="Where it runs; default: one worker a core, here."),
]


@dataclass(slots=True)
class Asked:
    """What the command line asked for, where `main` must know it: set while the options are read."""

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
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]


LockFolder = Annotated[
    Path | None,
    typer.Option("--lock", "--to", metavar="DIR", help="The lock; default NAME.lock beside the spec."),
]


def lock_folder(spec: Path, loaded: LoadedSpec) -> Path:
    """Where the lock of a spec is kept unless a command says otherwise."""
    return spec.with_name(f"{loaded.spec.name}.lock")


def load(path: Path) -> LoadedSpec:
    """The spec at `path`. Raises `SpecError`."""
    from mlimg_build.spec import load_spec

    return load_spec(path)


def check_fraction(fraction: float) -> None:
    """Raises `BadParameter` for what is no share of a whole."""
    if not 0 < fraction <= 1:
        raise typer.BadParameter(f"{fraction:g} is not above 0 and at most 1", param_hint="--fraction")


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as a dict with its paths as text."""
    from dataclasses import asdict

    return {key: str(part) if isinstance(part, Path) else part for key, part in asdict(value).items()}


def print_failure(
    problems: Iterable[Problem], exit_code: int, result: Mapping[str, Any] | None = None
) -> None:
    """Prints what ended a command as one JSON object, with what it made all the same."""
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
    """Ends a verb with `--json` that left something and failed: one object holds both."""
    from mlimg_build import terminal

    terminal.show_problems(error.problems)
    print_failure(error.problems, error.exit_code, result)
    raise typer.Exit(error.exit_code)


def print_json(value: Any) -> None:
    """Prints one JSON object."""
    try:
        print(json.dumps(value, indent=2, ensure_ascii=False, default=str), flush=True)
    except BrokenPipeError:  # typer would make a failure of one that has an errno
        raise BrokenPipeError from None
