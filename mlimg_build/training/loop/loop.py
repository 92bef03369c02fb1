"""The training loop: steps, checkpoints, records; a run that stops anywhere resumes as if it had not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from mlimg_build.errors import CheckpointError, Interrupted, Problem
from mlimg_build.spec import TrainingBackend
from mlimg_build.training.data.batches import BatchLoader
from mlimg_build.training.data.loader_memory import SHARED, UNREAD, fitting_workers, require_room
from mlimg_build.training.data.transforms import seeded
from mlimg_build.training.devices import ComputeDevice
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.loop.batch_parts import room_for_programs, uneven_parts
from mlimg_build.training.loop.checkpoint_policy import CheckpointPolicy
from mlimg_build.training.loop.history import History
from mlimg_build.training.loop.loss_log import LossLog
from mlimg_build.training.loop.step_errors import learn_batch, refuse_unknown
from mlimg_build.training.loop.trainer import Job, Trainer
from mlimg_build.training.loss.objectives import Objective
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.run_position import first_step

__all__ = ["Evaluate", "Follower", "Job", "Quiet", "learn"]


class Follower(Protocol):
    """Receives the progress of a run."""

    def step(self, message: str) -> None:
        """Receive a message on what is being done."""

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Receive the start of a run of `steps` after step `done`; return a callback for each record of its history."""


class Quiet:
    """A follower that ignores everything."""

    def step(self, message: str) -> None:
        """Do nothing."""

    def train(self, name: str, done: int, steps: int) -> Callable[[dict[str, Any]], None]:
        """Return a callback that does nothing."""
        return lambda record: None


Evaluate = Callable[[Backbone, bool], dict[str, float | None]]


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
    """Run the steps of the job that are left; return the network in eval mode.

    `folder` keeps `history.jsonl`, `tensorboard/` and `checkpoints/`. The run resumes from `start`, or else from the
    newest checkpoint there, and its steps are those of a run that was never stopped: bit for bit on a CPU with the same
    number of threads. `evaluate` is called at the end of epochs, and told if it is the last. From a checkpoint of a run
    with another batch size, the run resumes at the first image not yet seen; settings that differ are added to
    `warnings`.

    Raises:
        CheckpointError: if the checkpoint is damaged, slim, of another dataset, network or run, or between batches.
        TrainingError: `batch-without-label` if all labels of a batch are unknown and masked; those of `require_room`,
            `BatchLoader.load` and `learn_batch`.
        LossNotFinite: with the step and the images of its batch; no checkpoint is written after it.
        DatasetError: `disk-full` of a checkpoint, at the step that follows its failure or at the end.
        Interrupted: on SIGINT or SIGTERM, after the current step and a checkpoint.
    """
    follower = follower or Quiet()
    if job.stream.in_threads:
        pass  # threads write where the images are used
    elif backend.loader_workers is None:
        machine = _with_room(job, machine, backend, follower, warnings)
    else:
        require_room(job.stream, job.steps, machine.workers, backend.loader_prefetch)
    if machine.compile:
        torch.compiler.reset()  # its limit of recompilations is per process, not per network
        uneven = uneven_parts(job.stream.images, job.micro_batch)
        if uneven is not None and warnings is not None:
            warnings.append(uneven)
    shapes = len(job.stream.sizes), job.stream.images, job.micro_batch
    with seeded(job.seed, 0), room_for_programs(*shapes):
        learner = Trainer(job, backbone, objective, machine)
        first, warning = _resumed(learner, folder, start)
        if warning is not None:
            follower.step(warning.message)
            if warnings is not None:
                warnings.append(warning)
        told = follower.train(job.name, first, job.steps)
        with (
            History(folder, first) as history,
            _stopping() as stopped,
            CheckpointPolicy(folder / "checkpoints", backend) as policy,
        ):
            _steps(learner, first, policy, backend, history, evaluate, told, stopped)
    result = learner.result
    result.module.eval()
    return result


def _with_room(
    job: Job,
    machine: ComputeDevice,
    backend: TrainingBackend,
    follower: Follower,
    warnings: list[Problem] | None,
) -> ComputeDevice:
    """Return the machine with no more loader processes than /dev/shm has room for, and say if they are fewer."""
    fitting = fitting_workers(job.stream, job.steps, machine.workers, backend.loader_prefetch)
    if fitting == machine.workers:
        return machine
    message = f"{SHARED} has room for {fitting} processes that load images, and not for {machine.workers}"
    follower.step(message)
    if warnings is not None:
        hint = "start the container with a larger --shm-size; loading is slower until then"
        warnings.append(Problem("loader-room", message, hint=hint, severity="warning"))
    return replace(machine, workers=fitting)


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
    with checkpoints.restoring(path):
        learner.restore(state)
    if start is not None:  # a finished run starts again from here
        checkpoints.set_aside(folder / "checkpoints", step)
        for name in ("model.json", "evaluation.json"):
            (folder / name).unlink(missing_ok=True)
    return step, warning


def _steps(
    learner: Trainer,
    first: int,
    policy: CheckpointPolicy,
    backend: TrainingBackend,
    history: History,
    evaluate: Evaluate | None,
    told: Callable[[dict[str, Any]], None],
    stopped: Callable[[], bool],
) -> None:
    job = learner.job
    losses = LossLog(learner, history, told)
    gpu = learner.machine.device.type == "cuda"
    learner.train()
    batches = BatchLoader(job.stream, first, job.steps).load(
        learner.machine.workers, gpu, prefetch=backend.loader_prefetch, limit=backend.loader_timeout_seconds
    )
    for batch in losses.timed(batches):
        refuse_unknown(batch, learner)
        losses.add(batch, learn_batch(batch, learner), learner.optimizer.param_groups[0]["lr"])
        losses.record(keep=UNREAD)
        done = batch.step + 1
        number, left = divmod(done, job.steps_per_epoch)
        if evaluate and not left and (done == job.steps or number % backend.evaluate_epochs == 0):
            losses.record(keep=0)
            with losses.paused():
                measured = evaluate(learner.result, done == job.steps)
                history.evaluation(done, epoch=float(number), **measured)
                told({"kind": "evaluation", "step": done, **measured})
                learner.train()
        stop = stopped()
        if policy.is_due(end_of_epoch=not left) or stop:
            losses.record(keep=0)  # no checkpoint follows a loss that is not finite
            policy.save(done, learner)
        if stop:
            policy.wait()
            hint = "run the same command again, without --from, to go on from here"
            raise Interrupted(Problem("interrupted", f"training was stopped after step {done}", hint=hint))


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM came; a second one interrupts at once.

    Outside the main thread, which alone receives signals, it always returns False.
    """
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
