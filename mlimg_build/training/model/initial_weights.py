"""Initial weights of a training: a safetensors file, or a model that mlimg wrote."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from mlimg_build.digests import file_digest
from mlimg_build.errors import CheckpointError, Problem
from mlimg_build.regular_files import read_object
from mlimg_build.spec import digest_of
from mlimg_build.training.model.backbone import Backbone, is_below
from mlimg_build.training.model.model_files import CARD, FORMAT, WEIGHTS, Card, read_card

__all__ = ["InitialWeights", "begin_with", "find_weights"]

SHOWN = 3  # tensors that an error message names
CONVERT = "safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'NAME.safetensors')"


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """A safetensors file and its sha256; `card` is that of the model it belongs to, None for a file alone."""

    path: Path
    digest: str
    card: Card | None

    @property
    def inputs(self) -> dict[str, str]:
        """Their part in a run's key: the digest and, for a model, its input normalisation and its categories."""
        if self.card is None:
            return {"initial": self.digest}
        wnids = [category.wnid for category in self.card.categories]
        told = {"mean": self.card.mean, "std": self.card.std, "categories": wnids}
        if self.card.logit_adjustment:
            told["logit_adjustment"] = self.card.logit_adjustment
        return {"initial": self.digest, "initial_card": digest_of(told)}


def find_weights(path: Path) -> InitialWeights:
    """Return the weights at `path`: a file, or the folder of a model, for which its own weights file stands, too.

    Raises:
        CheckpointError: `weights-missing`, or `model-missing`, `model-unreadable` and `model-damaged` of a folder.
    """
    card, file = None, path
    folder = path if path.is_dir() else _model_of(path)
    if folder is not None:
        card, file = read_card(folder), folder / WEIGHTS
    try:
        digest = file_digest(file)
    except OSError as error:
        hint = "give a .safetensors file, or a folder NAME.model that `mlimg build` or `mlimg train` made"
        message = f"the weights {file} cannot be read: {error.strerror or error}"
        raise CheckpointError(Problem("weights-missing", message, hint=hint)) from error
    if card is not None and digest != card.digests.get("weights"):
        hint = "fetch the model again, or train it again"
        message = f"{file} cannot be used: its bytes differ from the digest in model.json"
        raise CheckpointError(Problem("model-damaged", message, hint=hint))
    return InitialWeights(file, digest, card)


def _model_of(path: Path) -> Path | None:
    """Return the folder of the model that a file is the weights of, also through a link; None if it is of none.

    Its card is needed: what was subtracted from the trained bias is there alone.
    """
    file = Path(os.path.realpath(path))  # Path.resolve refuses a link to itself
    card = file.with_name(CARD)
    if file.name != WEIGHTS or not card.is_file():
        return None
    try:
        ours = str(read_object(card).get("format", "")).startswith(f"{FORMAT.partition('/')[0]}/")
    except (OSError, ValueError):  # read_card says what is wrong with it
        ours = True
    return file.parent if ours else None


def begin_with(
    backbone: Backbone, weights: InitialWeights, categories: Sequence[str]
) -> tuple[Backbone, dict[str, Any]]:
    """Load the weights into the network; return it and what was loaded: `name`, `sha256`, the tensors left `random`.

    The head keeps its random weights if the file has another number of outputs, no head, or (for a model) other
    categories than `categories`, the WordNet ids in the order of the outputs. The mean and the standard deviation of
    the inputs become those of a model, and what was subtracted from its trained bias is added again.

    Raises:
        CheckpointError: `weights-unreadable`, `weights-of-another-network`, and `weights-differ` with the first names
            and shapes, if names or shapes outside the head are not those of the network.
    """
    card = weights.card
    if card is not None and _family(card.architecture) != _family(backbone.architecture):
        message = (
            f"{weights.path.parent} is a {card.architecture}, and the spec asks for a {backbone.architecture}"
        )
        hint = f"write model: {card.architecture}, or give weights of a {backbone.architecture}"
        raise CheckpointError(Problem("weights-of-another-network", message, hint=hint))
    given, wanted = _read(weights.path), backbone.module.state_dict()
    same = card is None or [category.wnid for category in card.categories] == list(categories)
    heads = [name for name in {**wanted, **given} if is_below(name, backbone.head)]
    fits = same and all(
        name in given and name in wanted and given[name].shape == wanted[name].shape for name in heads
    )
    random = [] if fits else [name for name in heads if name in wanted]
    left = set() if fits else set(heads)
    _refuse_others(backbone, weights, given, wanted, left)
    with torch.no_grad():
        for name, value in given.items():
            if name not in left:
                wanted[name].copy_(value)
        bias = backbone.head_bias()
        if card is not None and card.logit_adjustment and fits and bias is not None:
            added = torch.tensor(card.logit_adjustment, dtype=torch.float64)
            bias.copy_((bias.double() + added).to(bias.dtype))
    if card is not None:
        backbone = replace(backbone, mean=card.mean, std=card.std)
    name = weights.path.name if card is None else weights.path.parent.name
    return backbone, {"name": name, "sha256": weights.digest, "random": sorted(random)}


def _family(architecture: str) -> str:
    """Return the name without its tag, which tells where weights are from and not how the network is built."""
    return architecture.partition(".")[0]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # safetensors has its own exception for each kind of damage
        message = f"{path} is no safetensors file that can be read: {str(error)[:200]}"
        raise CheckpointError(
            Problem("weights-unreadable", message, hint=f"write a checkpoint of torch anew: {CONVERT}")
        ) from error


def _refuse_others(
    backbone: Backbone,
    weights: InitialWeights,
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    left: set[str],
) -> None:
    """Raises `CheckpointError` if names or shapes of tensors that are not `left` out differ."""
    differ = [
        f"{name}: {_shape(given.get(name))} in the file, {_shape(wanted.get(name))} in the network"
        for name in {**wanted, **given}
        if name not in left
        and not (
            name not in given and name.endswith("num_batches_tracked")
        )  # older files lack it; nothing reads it
        and _shape(given.get(name)) != _shape(wanted.get(name))
    ]
    if differ:
        more = f"; and {len(differ) - SHOWN:,} more" if len(differ) > SHOWN else ""
        count = "1 tensor differs" if len(differ) == 1 else f"{len(differ):,} tensors differ"
        message = (
            f"{weights.path} does not fit a {backbone.architecture}: {count} "
            f"({'; '.join(differ[:SHOWN])}{more})"
        )
        hint = "give weights of this network, named as its library names them, or correct training.model"
        raise CheckpointError(Problem("weights-differ", message, hint=hint))


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else " × ".join(map(str, tensor.shape)) or "a number"
