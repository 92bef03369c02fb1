"""The runs in `NAME.runs` and their checkpoints; prune the checkpoints that a finished run no longer needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlimg_build.compiler.engine.store_usage import cost_of, last_used
from mlimg_build.compiler.model_stage import require_torch, runs_held
from mlimg_build.errors import BuildError
from mlimg_build.regular_files import read_object

__all__ = ["Run", "RunPruned", "prune_runs", "runs_in"]

CARD = "model.json"  # a finished run has one


@dataclass(frozen=True, slots=True)
class Run:
    """A run: `name` is `training` or `transfer`, `bytes` is its size without files that its model shares."""

    folder: Path
    name: str
    finished: bool
    checkpoints: int
    bytes: int
    last_used: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class RunPruned:
    """What was removed of a finished run: whole checkpoints, and the optimizer state of kept ones (`slimmed`)."""

    folder: Path
    checkpoints: int
    slimmed: int
    bytes: int


def runs_in(out: Path, names: set[str] | None) -> Iterator[Run]:
    """Yield the runs in `out` of the named datasets and their fractions, or of all."""
    for folder in sorted(out.glob("*.runs")):
        if names is None or folder.name.removesuffix(".runs").split("@")[0] in names:
            for described in sorted(folder.glob("*/run.json")) + sorted(folder.glob("*/scratch/run.json")):
                yield _run(described.parent)


def prune_runs(
    runs: list[Run], *, optimizer: bool, dry_run: bool
) -> tuple[list[RunPruned], list[BuildError]]:
    """Remove all but the last checkpoint of finished runs; with `optimizer`, also its optimizer state.

    Returns what was removed (with `dry_run`, would be), and one `training-running` error per folder that was skipped
    because a training is running. Raises `TrainingError` `torch-missing`, `CheckpointError` if a last checkpoint is
    damaged.
    """
    pruned, busy = [], []
    finished = [run for run in runs if run.finished and run.checkpoints]
    for folder in dict.fromkeys(_runs_folder(run) for run in finished):
        try:
            with runs_held(folder):
                pruned += [_prune(run, optimizer, dry_run) for run in finished if _runs_folder(run) == folder]
        except BuildError as error:
            if error.code != "training-running":
                raise
            busy.append(error)
    return [one for one in pruned if one.checkpoints or one.slimmed], busy


def _prune(run: Run, optimizer: bool, dry_run: bool) -> RunPruned:
    checkpoints = run.folder / "checkpoints"
    if run.checkpoints < 2 and not optimizer:
        return RunPruned(run.folder, 0, 0, 0)
    require_torch()
    from mlimg_build.training.loop import checkpoints as saved  # noqa: PLC0415  torch takes seconds to load

    last = saved.latest(checkpoints)
    spare = saved.spare_bytes(last) if optimizer and last is not None else 0
    before = cost_of(checkpoints).own
    if dry_run:
        kept = sum(path.stat().st_size for path in _files(last)) if last is not None else 0
        return RunPruned(
            run.folder, run.checkpoints - (last is not None), int(spare > 0), before - kept + spare
        )
    saved.finish(checkpoints, 1)
    if last is not None and spare:
        saved.slim(last)
    return RunPruned(
        run.folder, run.checkpoints - (last is not None), int(spare > 0), before - cost_of(checkpoints).own
    )


def _run(folder: Path) -> Run:
    checkpoints = folder / "checkpoints"
    cost, inner = cost_of(folder), cost_of(folder / "scratch")
    return Run(
        folder=folder,
        name=_name(folder),
        finished=(folder / CARD).is_file(),
        checkpoints=len(list(checkpoints.rglob("step-*.pt"))),
        bytes=cost.own - inner.own,
        last_used=max(last_used(path) for path in (folder, checkpoints, folder / "history.jsonl")),
    )


def _name(folder: Path) -> str:
    try:
        told = read_object(folder / "run.json")
        return str(told["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return "?"


def _runs_folder(run: Run) -> Path:
    return run.folder.parents[1] if run.folder.name == "scratch" else run.folder.parent


def _files(checkpoint: Path) -> Iterator[Path]:
    """Return the existing files of a checkpoint: itself and the JSON record beside it."""
    return (path for path in (checkpoint, checkpoint.with_suffix(".json")) if path.is_file())
