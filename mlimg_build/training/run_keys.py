"""Keys of runs: the digest of everything that decides a run's weights but the machine.

The decoder that feeds a run is part of it, as the pixels of some JPEGs differ. So a run that another decoder began is
another run; it is told, as days may have gone into it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.images import DECODERS, Decoder, available_decoder
from mlimg_build.spec import Training, digest_of
from mlimg_build.training.loop import checkpoints
from mlimg_build.training.model.model_files import CARD

__all__ = ["ChosenRun", "choose_decoder", "choose_run", "decoded_whole", "run_key", "told_of"]

RUN_FORMAT = 3
FORMER = 2  # until then, every image was decoded whole and other random numbers were drawn for it
BUILD = "install a C compiler and the headers of libjpeg-turbo (libjpeg-dev), and install mlimg again"


@dataclass(frozen=True, slots=True)
class ChosenRun:
    """The run that a spec asks for on this machine: its key, what feeds it, and what must be told about it."""

    key: str
    decoder: Decoder
    warnings: tuple[Problem, ...] = ()


def told_of(part: Training | Any) -> dict[str, Any]:
    """Return a part of the spec as JSON, without the path of its weights: their digest identifies them."""
    told: dict[str, Any] = part.model_dump(mode="json", exclude={"weights"})
    return told


def run_key(stage: str, part: Training | Any, inputs: Mapping[str, str], decoder: Decoder | None) -> str:
    """Return the digest, hex, of everything that decides a run's weights except the machine.

    None is the decoder of the runs of before `RUN_FORMAT` 3.
    """
    apart = {"decoder", "device", "compare_scratch", "evaluation_threshold", "logit_adjustment"}
    told = {name: value for name, value in told_of(part).items() if name not in apart}
    if told.get("head_bias") == "random":  # as all networks began before there was a choice
        del told["head_bias"]
    if decoder is None:
        return digest_of({"stage": stage, "format": FORMER, "part": told, "inputs": dict(inputs)})
    return digest_of(
        {"stage": stage, "format": RUN_FORMAT, "decoder": decoder, "part": told, "inputs": dict(inputs)}
    )


def choose_decoder(wanted: str) -> Decoder:
    """Return the decoder that a spec asks for here: "auto" takes "partial" where the compiled extension is.

    Raises:
        TrainingError: `decoder-not-built` if the spec asks for "partial" and the extension was not built.
    """
    there = available_decoder()
    if wanted == "partial" != there:
        message = "the spec asks for the decoder partial, and its compiled extension was not built here"
        raise TrainingError(Problem("decoder-not-built", message, hint=f"{BUILD}; or write `decoder: whole`"))
    return "whole" if wanted == "whole" else there


def decoded_whole(wanted: str) -> tuple[Problem, ...]:
    """Return the warning that a run decodes images whole because of this machine, not because the spec says so."""
    if wanted != "auto" or available_decoder() == "partial":
        return ()
    message = (
        "images are decoded whole, as the extension that decodes only what a crop needs was not built here"
    )
    hint = f"for faster training, {BUILD}; with `decoder: whole` in the spec, this warning goes"
    return (Problem("decoder-whole", message, hint=hint, severity="warning"),)


def choose_run(
    stage: str, part: Training | Any, inputs: Mapping[str, str], folder_of: Callable[[str], Path]
) -> ChosenRun:
    """Return the run for a part of a spec; `folder_of` gives the folder of a key.

    With `decoder: auto`, a run that another decoder finished is the result. One that another decoder began is not
    continued by this one.

    Raises:
        TrainingError: `decoder-not-built`, or `decoder-changed` with how to go on.
    """
    decoder = choose_decoder(part.decoder)
    key = run_key(stage, part, inputs, decoder)
    if part.decoder != "auto" or _begun(folder_of(key)):
        return ChosenRun(key, decoder)
    others = (*(one for one in DECODERS if one != decoder), None)
    for other in others:
        before = run_key(stage, part, inputs, other)
        fed = _fed(other)
        if (folder_of(before) / CARD).is_file():
            message = f"{stage}: {fed} fed the run that is finished; this machine would take {decoder}"
            hint = f"it is used as it is; `decoder: {decoder}` in the spec trains anew"
            told = Problem("decoder-differs", message, hint=hint, severity="warning")
            return ChosenRun(before, other or "whole", (told,))
    for other in others:
        folder = folder_of(run_key(stage, part, inputs, other))
        if _begun(folder):
            raise _changed(stage, _fed(other), folder, decoder, other)
    return ChosenRun(key, decoder)


def _fed(other: Decoder | None) -> str:
    return f"the decoder {other}" if other else "an earlier version of mlimg"


def _begun(folder: Path) -> bool:
    return (folder / CARD).is_file() or checkpoints.latest(folder / "checkpoints") is not None


def _changed(stage: str, fed: str, folder: Path, decoder: Decoder, other: Decoder | None) -> TrainingError:
    message = (
        f"{stage}: {fed} fed the run in {folder}, which is not finished, and this machine would go on with {decoder}: "
        "pixels would differ from one step to the next"
    )
    if other == "partial":
        how = f"{BUILD}, to go on"
    elif other == "whole":
        how = "write `decoder: whole` in the spec to go on"
    else:
        how = "finish it with that version"
    return TrainingError(
        Problem("decoder-changed", message, hint=f"{how}, or `decoder: {decoder}` to begin anew")
    )
