"""The step at which a run resumes from another run's checkpoint: counted in images, as batch sizes may differ."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd
from pathlib import Path
from typing import Any

from mlimg_build.errors import CheckpointError, Problem
from mlimg_build.training.loop.trainer import Job

__all__ = ["first_step", "position_of"]

SAYS = {  # the effect of a setting that differs between the run of a checkpoint and the run that resumes from it
    "seed": "images come in another order, so some of this pass come twice and some not at all",
    "shards_mixed": "images come in another order, so some of this pass come twice and some not at all",
    "steps_per_epoch": "epochs have other lengths",
    "epochs": "the learning rate of a cosine follows the new length",
}


def position_of(job: Job) -> dict[str, int]:
    """Return what locates a checkpoint of this job, beside its step, in the data and in the schedule."""
    return {
        "batch_size": job.stream.batch_size,
        "seed": job.seed,
        "shards_mixed": job.stream.order.window,
        "steps_per_epoch": job.steps_per_epoch,
        "epochs": job.epochs,
    }


def first_step(job: Job, state: Mapping[str, Any], path: Path) -> tuple[int, Problem | None]:
    """Return the step at which `job` resumes from a checkpoint: the one that begins with the first image not yet seen.

    The problem, if any, is a warning that says which settings differ and what follows.

    Raises:
        CheckpointError: `checkpoint-between-batches` if the images seen are not a whole number of the job's batches,
            `checkpoint-of-another-decoder` if other pixels would follow.
    """
    step, now, before = int(state["step"]), position_of(job), state.get("position")
    if state["key"] == job.key:
        return step, None
    decoder = state.get("decoder")
    if decoder is not None and decoder != job.stream.decoder:
        message = f"{path} was fed by the decoder {decoder}, and this run by {job.stream.decoder}"
        hint = (
            f"write `decoder: {decoder}` in the spec to go on from it (partial needs the compiled extension)"
        )
        raise CheckpointError(Problem("checkpoint-of-another-decoder", message, hint=hint))
    if before is None:
        message = (
            f"{path} does not say how large its batches were: step {step:,} is taken for one of this run"
        )
        return step, _warning(message, "make sure that batch_size is that of its run")
    images = step * int(before["batch_size"])
    first, left = divmod(images, now["batch_size"])
    if left:
        message = (
            f"{path} has seen {images:,} images ({step:,} batches of {before['batch_size']:,}), "
            f"which is no whole number of batches of {now['batch_size']:,}"
        )
        every = now["batch_size"] // gcd(now["batch_size"], int(before["batch_size"]))
        hint = f"take a checkpoint whose step is a multiple of {every:,}, or a batch_size that divides {images:,}"
        raise CheckpointError(Problem("checkpoint-between-batches", message, hint=hint))
    said = []
    if first != step:
        said.append(
            f"its {step:,} batches of {before['batch_size']:,} are {first:,} of {now['batch_size']:,} "
            f"({images:,} images)"
        )
    differ = [name for name in SAYS if before[name] != now[name]]
    epoch, was = first / job.steps_per_epoch, step / before["steps_per_epoch"]
    if abs(epoch - was) < 0.005 and "steps_per_epoch" in differ:
        differ.remove("steps_per_epoch")  # equally many images, so the schedule has not moved
    for name in differ:
        moved = f": epoch {was:.2f} is {epoch:.2f} now" if name == "steps_per_epoch" else ""
        said.append(f"{name} {before[name]:,} → {now[name]:,}, {SAYS[name]}{moved}")
    if not said:
        return first, None
    return first, _warning(f"going on from {path.name}: {'; '.join(said)}", "")


def _warning(message: str, hint: str) -> Problem:
    return Problem("checkpoint-of-other-settings", message, hint=hint, severity="warning")
