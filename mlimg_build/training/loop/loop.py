"""The training loop: steps, checkpoints, records; a run that stops anywhere goes on as if it had not."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from mlimg_build.errors import CheckpointError, Interrupted, LossNotFinite, Problem, TrainingError
from mlimg_build.spec import TrainingBackend
from mlimg_build.training.data.batches import Batch, BatchLoader
from mlimg_build.training.data.transforms import seeded
from mlimg_build.training.devices import ComputeDevice
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.history import History
from mlimg_build.training.loop.trainer import Job, Trainer
from mlimg_build.training.loss.objectives import Objective
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.run_position import first_step, position_of

__all__ = ["Follower", "Job", "Quiet", "learn"]

LAG = 2  # steps after which a loss is looked at, so that a GPU never waits for it
RECORDS = 5000  # of a run's history, about; every step where there are fewer


class Follower(Protocol):
    """Hears how a run goes on."""

    def step(self, message: str) -> None:
        """Hears what is being done."""

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Hears that a run of `steps` goes on after `done`; returns what hears of each record of its history."""


class Quiet:
    """Follows a run and says nothing."""

    def step(self, message: str) -> None:
        """Says nothing."""

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Returns what says nothing."""
        return lambda record: None


Evaluate = Callable[[Backbone], dict[str, float | None]]


def learn(
    job: Job,
    backbone: Backbone,
    objective: Objective,
    folder: Path,
    *,
    machine: ComputeDevice,
    backend: TrainingBackend,
    evaluate: Evaluate | None = None,
    start: Path | None = None,
    follower: Follower | None = None,
    warnings: list[Problem] | None = None,
) -> Backbone:
    """The network after all steps of the job, in eval mode.

    `folder` keeps `history.jsonl`, `tensorboard/` and `checkpoints/`. A checkpoint there, or `start`, is gone on from,
    and the steps after it are those of a run that was never stopped: to the bit on a CPU with as many threads.
    `evaluate` is asked at the end of epochs. A checkpoint of a run with another batch size is gone on from at the image
    that it came to; what else differs is added to `warnings`.

    Raises:
        CheckpointError: where the checkpoint is damaged, slim, of another dataset or network, or between two batches.
        TrainingError: `batch-without-label`, where everything about a batch is unknown and masked.
        LossNotFinite: with the step and the images of its batch; no checkpoint is written after it.
        Interrupted: on SIGINT or SIGTERM, after the step at hand and a checkpoint.
    """
    follower = follower or Quiet()
    if machine.compile:
        torch.compiler.reset()  # its limit of recompilations is of the process, not of the network
    with seeded(job.seed, 0):
        learner = Trainer(job, backbone, objective, machine)
        first, warning = _resumed(learner, folder, start)
        if warning is not None:
            follower.step(warning.message)
            if warnings is not None:
                warnings.append(warning)
        told = follower.train(job.name, first, job.steps)
        with History(folder, first) as history, _stopping() as stopped:
            _steps(learner, first, folder, backend, history, evaluate, told, stopped)
    result = learner.result
    result.module.eval()
    return result


def _resumed(learner: Trainer, folder: Path, start: Path | None) -> tuple[int, Problem | None]:
    path = start or checkpoints.latest(folder / "checkpoints")
    if path is None:
        return 0, None
    state, job = checkpoints.load(path), learner.job
    checkpoints.refuse_slim(state, path)
    checkpoints.refuse_another(
        state, path, dataset=job.digests["dataset"], outputs=job.outputs, architecture=job.architecture
    )
    step, warning = first_step(job, state, path)
    strange = set(state["loss"]) != set(learner.objective.loss.state_dict())
    if step > job.steps or strange:
        what = "of a run with another loss" if strange else f"after step {step:,} of a run of {job.steps:,}"
        hint = "choose another checkpoint, or train anew without --from"
        raise CheckpointError(Problem("checkpoint-of-another-run", f"{path} is {what}", hint=hint))
    learner.restore(state)
    if start is not None:  # a finished run begins anew from here
        checkpoints.set_aside(folder / "checkpoints", step)
        for name in ("model.json", "evaluation.json"):
            (folder / name).unlink(missing_ok=True)
    return step, warning


def _steps(
    learner: Trainer,
    first: int,
    folder: Path,
    backend: TrainingBackend,
    history: History,
    evaluate: Evaluate | None,
    told: Callable[[dict[str, Any]], None],
    stopped: Callable[[], bool],
) -> None:
    job = learner.job
    every = max(1, job.steps // RECORDS)
    losses: deque[tuple[Batch, Tensor, float, float]] = deque()
    saved, since, paused, counted = time.monotonic(), time.monotonic(), 0.0, 0

    def look(keep: int) -> None:
        """Looks at the losses of all but the newest `keep` steps, and records them."""
        nonlocal since, counted
        while len(losses) > keep:
            batch, tensor, rate, stamp = losses.popleft()
            loss, done = tensor.item(), batch.step + 1
            if not math.isfinite(loss):
                raise _not_finite(batch, loss, learner)
            counted += len(batch.rows) * job.stream.ranks
            if done % every == 0 or done == job.steps:
                speed = counted / max(stamp - since, 1e-9)
                since, counted = stamp, 0
                values = {
                    "epoch": done / job.steps_per_epoch,
                    "loss": loss,
                    "rate": rate,
                    "images_per_second": speed,
                }
                history.step(done, **values)
                told({"kind": "step", "step": done, **values})

    def keep(step: int) -> None:
        nonlocal saved
        look(0)
        checkpoints.save(folder / "checkpoints", step, {**learner.state(), "position": position_of(job)})
        checkpoints.prune(folder / "checkpoints", backend.keep_checkpoints)
        saved = time.monotonic()

    gpu = learner.machine.device.type == "cuda"
    learner.train()
    loader = BatchLoader(job.stream, first, job.steps).load(learner.machine.workers, gpu)
    for batch in loader:
        _refuse_unknown(batch, learner)
        loss = _learnt(batch, learner)
        seen = batch._replace(
            images=torch.empty(0)
        )  # a large batch need not wait for its loss to be looked at
        losses.append((seen, loss, learner.optimizer.param_groups[0]["lr"], time.monotonic() - paused))
        look(LAG)
        done = batch.step + 1
        number, left = divmod(done, job.steps_per_epoch)
        if evaluate and not left and (done == job.steps or number % backend.evaluate_epochs == 0):
            look(0)
            began = time.monotonic()
            measured = evaluate(learner.result)
            history.evaluation(done, epoch=float(number), **measured)
            told({"kind": "evaluation", "step": done, **measured})
            learner.train()
            paused += time.monotonic() - began
        stop = stopped()
        if not left or time.monotonic() - saved >= 60 * backend.checkpoint_minutes or stop:
            keep(done)
        if stop:
            hint = "run the same command again, without --from, to go on from here"
            raise Interrupted(Problem("interrupted", f"training was stopped after step {done}", hint=hint))


def _learnt(batch: Batch, learner: Trainer) -> Tensor:
    """One step; what torch says of batches that are too small or of want of memory, for people."""
    try:
        return learner.learn(batch)
    except torch.OutOfMemoryError as error:
        message = f"the GPU has too little memory for step {batch.step + 1}: {str(error).splitlines()[0]}"
        hint = (
            f"set {_section(learner)}.micro_batch to fewer images of one forward pass, or use precision: bf16"
        )
        raise TrainingError(Problem("out-of-memory", message, hint=hint)) from error
    except TorchDynamoException as error:
        if "more than 1 value per channel" in str(error):
            raise _too_small() from error
        message = f"torch.compile failed: {str(error).splitlines()[0][:200]}"
        hint = (
            "it needs a C compiler and triton; without them write `training: {compile: false}` in a backend"
        )
        raise TrainingError(Problem("compile-failed", message, hint=hint)) from error
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise _too_small() from error


def _too_small() -> TrainingError:
    message = "batch norm needs more than one value a channel, and the last stage has one"
    hint = "raise batch_size or micro_batch to 2 at least, or image_size above 32"
    return TrainingError(Problem("batch-too-small", message, hint=hint))


def _refuse_unknown(batch: Batch, learner: Trainer) -> None:
    if learner.objective.needs_labels and not len(batch.labels.target):
        message = (
            f"nothing is known about any image of step {batch.step + 1}, so nothing can be learnt from it: "
            f"{_names(batch, learner)}"
        )
        hint = "write `unknown: absent` in training.loss, a larger batch_size, or `unlabelled: drop` in annotation"
        raise TrainingError(Problem("batch-without-label", message, hint=hint))


def _not_finite(batch: Batch, loss: float, learner: Trainer) -> LossNotFinite:
    section = _section(learner)
    message = f"the loss of step {batch.step + 1} is {loss}; its images are {_names(batch, learner)}"
    hint = (
        f"lower {section}.learning_rate.base, set {section}.gradient_clip, or use precision: fp32; "
        "earlier checkpoints are as they were"
    )
    return LossNotFinite(Problem("loss-not-finite", message, hint=hint))


def _section(learner: Trainer) -> str:
    """The part of the spec that a run follows."""
    return "transfer" if learner.job.name.startswith("transfer") else "training"


def _names(batch: Batch, learner: Trainer, most: int = 8) -> str:
    ids = learner.job.stream.samples.ids(batch.rows[:most].tolist())
    more = len(batch.rows) - len(ids)
    return ", ".join(ids) + (f" and {more} more" if more > 0 else "")


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Says whether SIGINT or SIGTERM came; a second one interrupts at once. Only in the main thread."""
    caught: list[int] = []

    def hear(signum: int, frame: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(signum)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
