"""One step of training, and its errors: with the step, the images and what to write in the spec."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from mlimg_build.errors import LossNotFinite, Problem, TrainingError
from mlimg_build.training.data.batches import Batch
from mlimg_build.training.loop.trainer import Trainer

__all__ = ["learn_batch", "not_finite", "refuse_unknown"]


def learn_batch(batch: Batch, learner: Trainer) -> Tensor:
    """Run one step; return its loss and the norm of its gradient, float[2] on the device.

    Raises:
        TrainingError: `out-of-memory`, `compile-failed` or `batch-too-small`, from what torch raises.
    """
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


def refuse_unknown(batch: Batch, learner: Trainer) -> None:
    """Raises `TrainingError` `batch-without-label` if all labels of a batch are unknown and masked."""
    if learner.objective.needs_labels and not len(batch.labels.target):
        message = (
            f"nothing is known about any image of step {batch.step + 1}, so nothing can be learnt from it: "
            f"{_names(batch, learner)}"
        )
        hint = "write `unknown: absent` in training.loss, a larger batch_size, or `unlabelled: drop` in annotation"
        raise TrainingError(Problem("batch-without-label", message, hint=hint))


def not_finite(batch: Batch, loss: float, norm: float, learner: Trainer) -> LossNotFinite:
    """Return the error for a loss, or a norm of a gradient, that is infinite or NaN, with the images of its batch."""
    section, names = _section(learner), _names(batch, learner)
    if math.isfinite(loss):
        code = "gradient-not-finite"
        message = f"the gradient of step {batch.step + 1} has the norm {norm}, and its loss is {loss:.4g}"
    else:
        code, message = "loss-not-finite", f"the loss of step {batch.step + 1} is {loss}"
    hint = (
        f"lower {section}.learning_rate.base, set {section}.gradient_clip, or use precision: fp32; "
        "the step was not taken, and checkpoints are of the steps before it"
    )
    return LossNotFinite(Problem(code, f"{message}; its images are {names}", hint=hint))


def _section(learner: Trainer) -> str:
    """Return the section of the spec that a run follows."""
    return "transfer" if learner.job.name.startswith("transfer") else "training"


def _names(batch: Batch, learner: Trainer, most: int = 8) -> str:
    ids = learner.job.stream.samples.ids(batch.rows[:most].tolist())
    more = len(batch.rows) - len(ids)
    return ", ".join(ids) + (f" and {more} more" if more > 0 else "")
