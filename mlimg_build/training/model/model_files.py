"""A trained network on disk: `model.safetensors`, which torchvision loads as it is, and `model.json` beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal

import safetensors.torch
import torch
from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from torch import nn

from mlimg_build.atomic import explaining_full_disk, save_json, sync_file
from mlimg_build.digests import file_digest
from mlimg_build.errors import CheckpointError, Problem
from mlimg_build.regular_files import read_object
from mlimg_build.training.data.transforms import HALF
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.backbones import make_backbone

__all__ = [
    "CARD",
    "FORMAT",
    "WEIGHTS",
    "Card",
    "Category",
    "load_model",
    "read_card",
    "save_model",
    "weights_digest",
]

FORMAT = "mlimg-model/1"
SHOWN = 3  # models that an error message names
CARD, WEIGHTS = "model.json", "model.safetensors"
OPTIONAL = frozenset({"initial", "logit_adjustment"})  # what a card does not say if it is None


STRICT = ConfigDict(strict=True, extra="forbid")
Text = Annotated[str, StringConstraints(max_length=4096)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Category:
    """One output: its WordNet id and name, the outputs that are its parents, and its number of training images."""

    __pydantic_config__ = STRICT

    wnid: Text
    name: Text
    parents: tuple[int, ...]
    positives: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Card:
    """What is needed to use a network: the meaning of its outputs and the form of its inputs.

    `activation` turns logits into scores: "sigmoid" (any number of labels) or "softmax" (one of them). Inputs are
    RGB, the short side `image_size` / 0.875 pixels, cropped to `image_size`, (pixels / 255 - mean) / std. `initial` is
    what the training began with (`name`, `sha256`) and which tensors began at `random`; None if all of them did.
    `logit_adjustment` is what was subtracted from the trained bias of each output, so that scores are probabilities;
    None if nothing was, and empty if the network has no such bias.
    """

    __pydantic_config__ = STRICT

    name: Text
    version: Text
    architecture: Text
    image_size: Annotated[int, Field(ge=1, le=4096)]
    activation: Literal["sigmoid", "softmax"]
    categories: Annotated[tuple[Category, ...], Field(min_length=1)]
    digests: dict[str, Text]
    step: Annotated[int, Field(ge=0)]
    epochs: Number
    training: dict[str, Any]
    versions: dict[str, Text]
    mean: tuple[Number, Number, Number] = HALF
    std: tuple[Positive, Positive, Positive] = HALF
    initial: dict[str, Any] | None = None
    logit_adjustment: tuple[Number, ...] | None = None


CARDS = TypeAdapter(Card)


def save_model(folder: Path, network: nn.Module, card: Card) -> Card:
    """Write the network and its card to `folder`, on the disk; return the card with the digest of the weights.

    Raises:
        DatasetError: `disk-full`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{WEIGHTS}.tmp"
    with explaining_full_disk(folder):
        try:
            temporary.write_bytes(_packed(network))
            sync_file(temporary)
            digest = file_digest(temporary)
            temporary.replace(folder / WEIGHTS)
        finally:
            temporary.unlink(missing_ok=True)
        told = {
            name: value for name, value in asdict(card).items() if name not in OPTIONAL or value is not None
        }
        told |= {"digests": {**card.digests, "weights": digest}}
        save_json(folder / CARD, {"format": FORMAT, **told})
    return read_card(folder)


def weights_digest(network: nn.Module) -> str:
    """Return the digest that the weights of a network have as a file."""
    return hashlib.sha256(_packed(network)).hexdigest()


def _packed(network: nn.Module) -> bytes:
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return safetensors.torch.save(weights, metadata={"format": "pt"})


def read_card(folder: Path) -> Card:
    """Return the card of the model in `folder`.

    Raises:
        CheckpointError: `model-missing` or `model-unreadable`.
    """
    path = folder / CARD
    if not path.is_file():
        raise CheckpointError(_missing(folder))
    try:
        told = read_object(path)
        if (found := told.pop("format", None)) != FORMAT:
            raise ValueError(f"its format is {found!r}, and this version reads {FORMAT}")
        return _checked(CARDS.validate_json(json.dumps(told)))  # strict, but lists may be tuples
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise _unreadable(path, f"{where}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", None) or str(error)) from error


def _missing(folder: Path) -> Problem:
    """Return what is wrong with a folder without a model, and the model that was probably meant."""
    if folder.is_dir():
        message = f"{folder} holds no {CARD}"
        beside = folder.with_suffix(".model") if folder.suffix else folder
        near = [beside, *sorted(folder.glob("*.model"))]
    elif folder.exists():
        message = f"{folder} is a file, and a model is a folder"
        near = [folder.parent, folder.with_suffix(".model")]
    else:
        message, near = f"there is no {folder}", [folder.with_name(f"{folder.name}.model")]
    meant = [one for one in near if (one / CARD).is_file()]
    hint = "give the folder NAME.model that `mlimg build` or `mlimg train` made"
    if meant:
        hint += f"; {' and '.join(map(str, meant[:SHOWN]))} {'is one' if len(meant) == 1 else 'are some'}"
    return Problem("model-missing", message, hint=hint)


def _unreadable(path: Path, why: str) -> CheckpointError:
    hint = "fetch the model again, or train it again"
    return CheckpointError(Problem("model-unreadable", f"{path} cannot be understood: {why}", hint=hint))


def _checked(card: Card) -> Card:
    """Return the card if its numbers go together; raises `ValueError` otherwise."""
    adjusted = card.logit_adjustment
    if adjusted and len(adjusted) != len(card.categories):
        raise ValueError(
            f"logit_adjustment has {len(adjusted)} numbers for {len(card.categories)} categories"
        )
    children: dict[int, set[int]] = {}
    for number, category in enumerate(card.categories):
        for parent in category.parents:
            if not 0 <= parent < len(card.categories):
                raise ValueError(f"category {number} has the parent {parent}, which is not in the list")
            children.setdefault(number, set()).add(parent)
    try:
        TopologicalSorter(children).prepare()
    except CycleError as error:
        raise ValueError(
            f"categories are their own ancestors: {' → '.join(map(str, error.args[1]))}"
        ) from error
    return card


def load_model(folder: Path) -> tuple[Backbone, Card]:
    """Return the network in eval mode on the CPU, and its card.

    Raises:
        CheckpointError: `model-missing`, `model-unreadable`, `model-damaged` if the weights differ from their digest
            or are those of another network, `category-count` if the card lists another number of outputs.
        TrainingError: `timm-missing`, `network-unknown` or `network-unusable` if the network cannot be made here.
    """
    card = read_card(folder)
    path = folder / WEIGHTS
    hint = "fetch the model again, or train it again"
    try:
        if file_digest(path) != card.digests.get("weights"):
            raise ValueError("its bytes differ from the digest in model.json")
        weights = safetensors.torch.load_file(path)
    except Exception as error:  # safetensors has its own exception for each kind of damage
        raise CheckpointError(
            Problem(
                "model-damaged",
                f"{path} cannot be used: {getattr(error, 'strerror', None) or error}",
                hint=hint,
            )
        ) from error
    with torch.device("meta"):  # random weights would be replaced at once
        made = make_backbone(card.architecture, max(1, len(card.categories)), 0)
    backbone = replace(made, mean=card.mean, std=card.std)
    outputs = backbone.outputs_of(weights)
    if outputs != len(card.categories):
        message = f"{path} has {outputs} outputs, and {CARD} lists {len(card.categories)} categories"
        raise CheckpointError(Problem("category-count", message, hint=hint))
    try:
        backbone.module.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        message = f"the weights of {folder} are not those of a {card.architecture}: {str(error)[:200]}"
        raise CheckpointError(Problem("model-damaged", message, hint=hint)) from error
    backbone.module.eval().requires_grad_(False)
    return backbone, card
