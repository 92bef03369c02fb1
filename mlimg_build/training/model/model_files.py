"""A trained network on disk: `model.safetensors`, which torchvision loads as it is, and `model.json` beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from mlimg_build.atomic import explaining_full_disk, save_json, sync_file
from mlimg_build.digests import file_digest
from mlimg_build.errors import CheckpointError, Problem
from mlimg_build.training.data.transforms import HALF, Triple
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.backbones import make_backbone

__all__ = ["CARD", "FORMAT", "WEIGHTS", "Card", "Category", "load_model", "read_card", "save_model"]

FORMAT = "mlimg-model/1"
CARD, WEIGHTS = "model.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Category:
    """One output: its WordNet id and name, the outputs that are its parents, and its number of training images."""

    wnid: str
    name: str
    parents: tuple[int, ...]
    positives: int


@dataclass(frozen=True, slots=True)
class Card:
    """What is needed to use a network: the meaning of its outputs and the form of its inputs.

    `activation` turns logits into scores: "sigmoid" (any number of labels) or "softmax" (one of them). Inputs are
    RGB, the short side `image_size` / 0.875 pixels, cropped to `image_size`, (pixels / 255 - mean) / std. `initial` is
    what the training began with (`name`, `sha256`) and which tensors began at `random`; None if all of them did.
    """

    name: str
    version: str
    architecture: str
    image_size: int
    activation: str
    categories: tuple[Category, ...]
    digests: Mapping[str, str]
    step: int
    epochs: float
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    mean: Triple = HALF
    std: Triple = HALF
    initial: Mapping[str, Any] | None = None


def save_model(folder: Path, network: nn.Module, card: Card) -> Card:
    """Write the network and its card to `folder`, on the disk; return the card with the digest of the weights.

    Raises:
        DatasetError: `disk-full`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    temporary = folder / f".{WEIGHTS}.tmp"
    with explaining_full_disk(folder):
        try:
            temporary.write_bytes(safetensors.torch.save(weights, metadata={"format": "pt"}))
            sync_file(temporary)
            digest = file_digest(temporary)
            temporary.replace(folder / WEIGHTS)
        finally:
            temporary.unlink(missing_ok=True)
        told = {name: value for name, value in asdict(card).items() if name != "initial" or value is not None}
        told |= {"digests": {**card.digests, "weights": digest}}
        save_json(folder / CARD, {"format": FORMAT, **told})
    return read_card(folder)


def read_card(folder: Path) -> Card:
    """Return the card of the model in `folder`.

    Raises:
        CheckpointError: `model-missing` or `model-unreadable`.
    """
    path = folder / CARD
    if not path.is_file():
        hint = "give the folder NAME.model that `mlimg build` or `mlimg train` made"
        raise CheckpointError(Problem("model-missing", f"{folder} holds no {CARD}", hint=hint))
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ValueError("it is no JSON object")
        if (found := told.pop("format")) != FORMAT:
            raise ValueError(f"its format is {found}, and this version reads {FORMAT}")
        categories = tuple(
            Category(entry["wnid"], entry["name"], tuple(entry["parents"]), entry["positives"])
            for entry in told.pop("categories")
        )
        mean, std = tuple(map(float, told.pop("mean"))), tuple(map(float, told.pop("std")))
        if len(mean) != 3 or len(std) != 3:
            raise ValueError("mean and std are not three numbers each")
        if any(not 0 <= parent < len(categories) for category in categories for parent in category.parents):
            raise ValueError("a category has a parent that is not in the list")
        return Card(**told, categories=categories, mean=mean, std=std)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "fetch the model again, or train it again"
        raise CheckpointError(
            Problem("model-unreadable", f"{path} cannot be understood: {error!r}", hint=hint)
        ) from error


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
            Problem("model-damaged", f"{path} cannot be used: {error}", hint=hint)
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
