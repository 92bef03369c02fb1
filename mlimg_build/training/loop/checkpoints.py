"""Checkpoints: written whole or not at all, verified by a digest, loaded without unpickling arbitrary objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mlimg_build.atomic import explaining_full_disk, save_json, sync_file
from mlimg_build.digests import file_digest
from mlimg_build.errors import CheckpointError, Problem
from mlimg_build.regular_files import read_object

__all__ = [
    "FORMAT",
    "finish",
    "latest",
    "load",
    "prune",
    "refuse_another",
    "refuse_slim",
    "restoring",
    "save",
    "set_aside",
    "slim",
    "spare_bytes",
]

FORMAT = "mlimg-checkpoint/1"
PATTERN = "step-*.json"
SET_ASIDE = "set-aside"
SPARE = ("optimizer", "random", "random_cuda")  # what only resuming needs
OPEN = ConfigDict(strict=True, extra="allow")
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Some = Annotated[int, Field(ge=1, lt=1 << 63)]


class _Digests(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    dataset: str


class _Position(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    batch_size: Some
    seed: int
    shards_mixed: Some
    steps_per_epoch: Some
    epochs: Count


class _State(TypedDict):
    """What a checkpoint holds at least; the tensors are checked by the network and the optimizer that take them."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    format: str
    step: Count
    key: str
    digests: _Digests
    architecture: str
    outputs: Some
    network: dict[str, Any]
    loss: dict[str, Any]
    average: NotRequired[dict[str, Any] | None]
    decoder: NotRequired[str]
    position: NotRequired[_Position]


STATE = TypeAdapter(_State)


def save(folder: Path, step: int, state: Mapping[str, Any]) -> Path:
    """Write `state` to `folder/step-N.pt`, on the disk, and last its digest to `step-N.json`; return the former.

    Raises:
        DatasetError: `disk-full`; earlier checkpoints are unchanged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08}.pt"
    temporary = path.with_name(f".{path.name}.tmp")
    with explaining_full_disk(folder):
        try:
            with temporary.open("wb") as stream:  # so that a full disk is an OSError
                torch.save({"format": FORMAT, "step": step, **state}, stream)
            digest = file_digest(temporary)
            sync_file(temporary)
            path.with_suffix(".json").unlink(missing_ok=True)  # it belongs to the file that is replaced now
            temporary.replace(path)
            sync_file(folder)
            save_json(path.with_suffix(".json"), {"format": FORMAT, "step": step, "sha256": digest})
        finally:
            temporary.unlink(missing_ok=True)
    return path


def latest(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written completely; None if there is none."""
    found = sorted(folder.glob(PATTERN), key=_step)
    return found[-1].with_suffix(".pt") if found else None


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote, on the CPU.

    Raises:
        CheckpointError: `checkpoint-missing`, `not-a-checkpoint`, or `checkpoint-damaged` with the earlier checkpoint
            to resume from.
    """
    record = path.with_suffix(".json")
    hint = "name a file step-N.pt of a run, with the step-N.json beside it"
    if not path.is_file():
        raise CheckpointError(Problem("checkpoint-missing", f"there is no {path}", hint=hint))
    if path.suffix != ".pt" or _step(path) < 0 or not record.is_file():
        raise CheckpointError(Problem("not-a-checkpoint", f"{path} is no checkpoint of a run", hint=hint))
    try:
        told = read_object(record)
        if file_digest(path) != told["sha256"]:
            raise ValueError("its bytes differ from their digest")
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"its format is {state['format']}")
        STATE.validate_python(state)
    except Exception as error:  # torch raises many kinds of exceptions for a damaged file
        earlier = [
            other for other in sorted(path.parent.glob(PATTERN), key=_step) if _step(other) < _step(path)
        ]
        hint = (
            f"go on from the one before it: --from {earlier[-1].with_suffix('.pt')}"
            if earlier
            else f"there is no earlier one: move {path} away to start again"
        )
        raise CheckpointError(
            Problem("checkpoint-damaged", f"{path} cannot be read: {_why(error)}", hint=hint)
        ) from error
    return state


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """Turn what torch raises inside the block, for tensors that do not fit, into one error about the checkpoint.

    Raises:
        CheckpointError: `checkpoint-damaged`.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        message = f"{path} does not fit the run: {_why(error)}"
        hint = "choose another checkpoint, or train anew without --from"
        raise CheckpointError(Problem("checkpoint-damaged", message, hint=hint)) from error


def refuse_another(
    state: Mapping[str, Any], path: Path, *, dataset: str, outputs: int, architecture: str
) -> None:
    """Raises `CheckpointError` if a checkpoint is of another dataset or another network."""
    problems = []
    if state["digests"]["dataset"] != dataset:
        problems.append(
            Problem(
                "checkpoint-of-another-dataset",
                f"{path} was trained on the dataset {state['digests']['dataset'][:12]}…, this is {dataset[:12]}…",
                hint="give the dataset that it was trained on, or train anew without --from",
            )
        )
    if state["outputs"] != outputs:
        problems.append(
            Problem(
                "category-count",
                f"{path} has {state['outputs']} outputs, the dataset asks for {outputs}",
                hint="the categories of the two differ: train anew without --from",
            )
        )
    if state["architecture"] != architecture:
        problems.append(
            Problem(
                "checkpoint-of-another-network",
                f"{path} is of a {state['architecture']}, the spec asks for a {architecture}",
                hint="correct training.model, or train anew without --from",
            )
        )
    if problems:
        raise CheckpointError(problems)


def prune(folder: Path, kept: int) -> None:
    """Remove all but the newest `kept` checkpoints, and what interrupted writes left."""
    for left in folder.glob(".step-*.pt.tmp"):
        left.unlink(missing_ok=True)
    records = sorted(folder.glob(PATTERN), key=_step)
    for record in records[: max(0, len(records) - kept)]:
        record.unlink()  # first, so that no record is ever without its file
        record.with_suffix(".pt").unlink(missing_ok=True)


def finish(folder: Path, kept: int) -> None:
    """Keep the newest `kept` checkpoints of a finished run; those that were set aside count as the oldest."""
    prune(folder, kept)
    aside = folder / SET_ASIDE
    if aside.is_dir():
        prune(aside, kept - len(list(folder.glob(PATTERN))))
        if not any(aside.iterdir()):
            aside.rmdir()


def spare_bytes(path: Path) -> int:
    """Return the bytes of a checkpoint that only resuming needs; 0 for a slim one.

    Raises:
        CheckpointError: those of `load`.
    """
    return _bytes_of([load(path).get(name) for name in SPARE])


def slim(path: Path) -> None:
    """Reduce a checkpoint to its weights: no run can resume from it, and it takes half the space or less.

    Raises:
        CheckpointError: those of `load`.
        DatasetError: `disk-full`; the checkpoint is unchanged.
    """
    state = load(path)
    if "optimizer" in state:
        kept = {name: value for name, value in state.items() if name not in (*SPARE, "format", "step")}
        save(path.parent, state["step"], kept)


def refuse_slim(state: Mapping[str, Any], path: Path) -> None:
    """Raises `CheckpointError` `checkpoint-slim` if a checkpoint lacks the state of its optimizer."""
    if "optimizer" in state:
        return
    message = (
        f"{path} holds weights only: `mlimg cache prune --optimizer` removed the state of its optimizer, "
        "and without it the steps that follow would not be those of the run"
    )
    hint = "give a checkpoint that is whole, or train anew without --from (move the run's folder away first)"
    raise CheckpointError(Problem("checkpoint-slim", message, hint=hint))


def set_aside(folder: Path, step: int) -> None:
    """Move checkpoints after `step` to `folder/set-aside`, so that the run can branch from `step`."""
    for record in folder.glob(PATTERN):
        if _step(record) > step:
            (folder / SET_ASIDE).mkdir(exist_ok=True)
            for path in (record, record.with_suffix(".pt")):
                if path.exists():
                    path.replace(folder / SET_ASIDE / path.name)


def _step(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number) if number.isdigit() else -1


def _bytes_of(value: Any) -> int:
    """Return the bytes of all tensors in nested dicts and lists."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    if isinstance(value, Mapping):
        return sum(_bytes_of(one) for one in value.values())
    return sum(_bytes_of(one) for one in value) if isinstance(value, list | tuple) else 0


def _why(error: Exception) -> str:
    """What is wrong with a file, without torch's advice to load it all the same, which would run code out of it."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))[:100]}: {first['msg']}"
    text = str(error)
    return "it holds other objects than tensors" if "weights_only" in text else text[:200]
