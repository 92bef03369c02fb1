"""Train the model of a dataset as declared by the spec's `training` and `transfer`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mlimg_build.atomic import holding
from mlimg_build.compiler.facts.preflight import missing_paths
from mlimg_build.compiler.plan_stage import dataset_path, interruptible
from mlimg_build.dataset import open_dataset
from mlimg_build.errors import DatasetError, Problem, SpecError, TrainingError
from mlimg_build.spec import Backend, LoadedSpec, digest_of

__all__ = [
    "Modelled",
    "TrainingWatcher",
    "check_model",
    "lock_digest",
    "make_model",
    "model_path",
    "require_torch",
    "runs_held",
]

NEEDED = ("torch", "torchvision", "safetensors", "torchmetrics", "tensorboard")


class TrainingWatcher(Protocol):
    """Receives the progress of training a model."""

    def step(self, message: str) -> None:
        """Receive a message on what is being done."""

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Receive the start of a run of `steps` after step `done`; return a callback for each record of its history."""


@dataclass(frozen=True, slots=True)
class Modelled:
    """A trained model and its evaluations, which are None if there were no images to evaluate on or no transfer."""

    dataset: Path
    model: Path
    runs: Path
    digest: str  # of the weights
    evaluation: dict[str, Any] | None
    transfer: dict[str, Any] | None
    again: bool  # whether all of it existed already
    warnings: tuple[Problem, ...]


def model_path(dataset: Path) -> Path:
    """Return the path of the model of a dataset, beside it.

    >>> str(model_path(Path("build/example.zarr")))
    'build/example.model'
    """
    return dataset.with_name(f"{dataset.name.removesuffix('.zarr')}.model")


def require_torch() -> None:
    """Raise `TrainingError` `torch-missing` unless the packages of the extra `train` are installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise TrainingError(
            Problem(
                "torch-missing",
                f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
                hint="pip install 'mlimg[train]', then run the same command again; the dataset is kept",
            )
        )


def check_model(loaded: LoadedSpec) -> None:
    """Check the network and weights of `training` before the dataset is built, if they need more than a known name.

    Networks of timm and weights from files are loaded before the first image is read. Without torch only the path of
    the weights is checked, as a dataset can be built without it. Raises `SpecError` `path-missing`, and the errors of
    `check_network`.
    """
    part = loaded.spec.training
    if part is None or ("/" not in part.model and part.weights is None):
        return
    absent = [
        problem for problem in missing_paths(loaded) if problem.place == loaded.place("training", "weights")
    ]
    if absent:
        raise SpecError(absent)
    if all(find_spec(name) for name in NEEDED):
        from mlimg_build.training import check_network  # noqa: PLC0415  torch takes seconds to load

        check_network(loaded)


def make_model(
    loaded: LoadedSpec,
    out: Path,
    backend: Backend,
    *,
    fraction: float = 1.0,
    dataset: Path | None = None,
    start: Path | None = None,
    transfer: bool = True,
    watcher: TrainingWatcher | None = None,
) -> Modelled:
    """Train the model declared by `training` and write it to NAME.model beside the dataset; reuse what exists.

    The dataset is that of the spec in `out`, or `dataset`. Runs are kept in NAME.runs, one folder per recipe, so that a
    change of the spec never loses a trained network. `start` is a checkpoint to resume from.

    Raises:
        TrainingError: `torch-missing`, `device-missing` and the errors of training.
        SpecError: `no-training` if the spec has no `training`; those of `check_model`.
        DatasetError: if there is no dataset, or it is of another spec.
        Interrupted: if it was stopped.
    """
    spec = loaded.spec
    if spec.training is None:
        hint = "write `training: {}` for the published recipe"
        raise SpecError(Problem("no-training", f"{loaded.path} has no `training`", loaded.place(), hint=hint))
    require_torch()
    check_model(loaded)
    from mlimg_build.training import (  # noqa: PLC0415  torch takes seconds to load
        Quiet,
        RunInputs,
        classes_of,
        publish,
        published,
        refuse_stranger,
        train,
    )
    from mlimg_build.training import transfer as tune  # noqa: PLC0415

    path = dataset.resolve() if dataset else dataset_path(loaded, out, fraction)  # "." has no name
    model = model_path(path)
    runs = path.with_name(f"{path.name.removesuffix('.zarr')}.runs")
    refuse_stranger(model)
    with open_dataset(path) as opened, runs_held(runs), interruptible():
        if (named := opened.attributes.get("name")) != spec.name:
            message = f"{path} is the dataset {named!r}, and {loaded.path} describes {spec.name!r}"
            raise DatasetError(
                Problem("dataset-of-another-spec", message, hint="give the dataset of this spec")
            )
        setting = RunInputs(
            name=spec.name,
            version=spec.version,
            dataset=opened,
            digests={"spec": loaded.digest, "lock": lock_digest(path.with_suffix(".lock"))},
            runs=runs,
            backend=backend.training,
            follower=watcher or Quiet(),
        )
        if spec.transfer and transfer:
            classes_of(opened, spec.transfer.source)  # errors are raised before days of training
        trained = train(setting, spec.training, start)
        if not published(model, trained):
            publish(model, trained, None)  # even if the transfer fails
        tuned = tune(setting, spec.transfer, trained) if spec.transfer and transfer else None
        if tuned is not None or (spec.transfer is None and (model / "transfer").exists()):
            publish(model, trained, tuned)
    return Modelled(
        dataset=path,
        model=model,
        runs=runs,
        digest=trained.card.digests["weights"],
        evaluation=trained.evaluation,
        transfer=tuned.evaluation if tuned else None,
        again=trained.again and (tuned is None or tuned.again),
        warnings=(*trained.warnings, *(tuned.warnings if tuned else ())),
    )


def lock_digest(folder: Path) -> str:
    """Return the sha256 (hex) over the files of a lock by name; "" if there is no lock."""
    if not folder.is_dir():
        return ""
    return digest_of(
        {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    )


@contextmanager
def runs_held(runs: Path) -> Iterator[None]:
    """Keep other trainings of the same dataset out. Raises `BuildError` `training-running`, `lock-refused`."""
    runs.mkdir(parents=True, exist_ok=True)
    hint = "wait for it, or give another --out"
    with holding(runs / "lock", Problem("training-running", f"a training into {runs} is running", hint=hint)):
        yield
