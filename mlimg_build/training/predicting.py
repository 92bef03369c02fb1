"""A trained network put to use: labels or features of image files, of any number."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models import ResNet

from mlimg_build.errors import ImageError, MlimgError, Problem, TrainingError
from mlimg_build.images import decode
from mlimg_build.training.augmenting import viewing_transform
from mlimg_build.training.devices import Machine
from mlimg_build.training.network import features
from mlimg_build.training.viewing import BATCH, ahead, logits_of
from mlimg_build.training.weights import Card

__all__ = ["Predicted", "Score", "Seen", "find_images", "predict", "see"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif"})


@dataclass(frozen=True, slots=True)
class Score:
    """A label and its score, 0 to 1."""

    wnid: str
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Seen:
    """Images as the network saw them: `values` is float32[images, …], NaN in the rows of those that have a `reason`.

    `statuses` and `reasons` say of each image why it could not be read: "ok" and "" where it could.
    """

    paths: tuple[Path, ...]
    statuses: tuple[str, ...]
    reasons: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Predicted:
    """An image and its labels, none where it could not be read."""

    path: Path
    status: str
    reason: str
    labels: tuple[Score, ...]


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are given, and below a folder every image by its suffix, sorted within each folder.

    Raises:
        TrainingError: `path-missing`.
    """
    for path in paths:
        if path.is_dir():
            yield from _below(path)
        elif path.exists():
            yield path
        else:
            hint = "give image files or folders of them"
            raise TrainingError(Problem("path-missing", f"there is no {path}", hint=hint))


def see(
    network: ResNet, card: Card, paths: Iterable[Path], machine: Machine, *, as_features: bool = False
) -> Iterator[Seen]:
    """Logits of the images in batches, or with `as_features` what the last layer sees; in order, in bounded memory.

    Every image is proved whole before it counts; one that is damaged has a row and a reason. `machine.device` holds the
    network.
    """
    transform, least = viewing_transform(card.image_size)
    width = network.fc.in_features if as_features else network.fc.out_features
    scale = _Scaled(network, card, as_features)

    def view(path: Path) -> tuple[Path, Tensor | None, str, str]:
        try:
            pixels = decode(path.read_bytes(), least)
        except ImageError as error:
            return path, None, error.code.replace("-", "_"), error.problems[0].message
        except OSError as error:
            return path, None, "unreadable", str(error.strerror or error)
        return path, transform(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)), "ok", ""

    made = ahead(view, paths)
    while batch := list(islice(made, BATCH)):
        values = np.full((len(batch), width), np.nan, np.float32)
        good = [i for i, (_, image, _, _) in enumerate(batch) if image is not None]
        if good:
            images = torch.stack([image for _, image, _, _ in batch if image is not None])
            values[good] = logits_of(scale, images, machine, "fp32").numpy()
        yield Seen(
            tuple(path for path, *_ in batch),
            tuple(status for _, _, status, _ in batch),
            tuple(reason for *_, reason in batch),
            values,
        )


def predict(
    network: ResNet,
    card: Card,
    paths: Iterable[Path],
    machine: Machine,
    *,
    top: int = 5,
    least: float = 0.0,
) -> Iterator[Predicted]:
    """The `top` labels of each image that score at least `least`, the most specific first.

    More specific is what lies deeper below the roots of the model's own hierarchy; equals are in the order of their
    scores.
    """
    depth = depths([category.parents for category in card.categories])
    for seen in see(network, card, paths, machine):
        logits = torch.from_numpy(seen.values).double()
        scores = logits.sigmoid() if card.activation == "sigmoid" else logits.softmax(dim=1)
        best = scores.nan_to_num(-1.0).topk(min(top, scores.shape[1]), dim=1)
        for i, path in enumerate(seen.paths):
            chosen = [
                (depth[number], score, number)
                for score, number in zip(best.values[i].tolist(), best.indices[i].tolist(), strict=True)
                if score >= max(least, 0.0)
            ]
            labels = tuple(
                Score(card.categories[number].wnid, card.categories[number].name, score)
                for _, score, number in sorted(chosen, key=lambda entry: (-entry[0], -entry[1]))
            )
            yield Predicted(path, seen.statuses[i], seen.reasons[i], labels)


def depths(parents: Sequence[Sequence[int]]) -> list[int]:
    """The longest way from each category up to a root, in steps.

    >>> depths([[1], [2], [], [2, 1]])
    [2, 1, 0, 2]
    """
    found: dict[int, int] = {}
    for start in range(len(parents)):
        stack = [start]
        while stack:
            node = stack[-1]
            waiting = [parent for parent in parents[node] if parent not in found]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            found[node] = 1 + max((found[parent] for parent in parents[node]), default=-1)
    return [found[node] for node in range(len(parents))]


class _Scaled:
    """The network for pixels in [-1, 1], whatever scale the card asks for."""

    def __init__(self, network: ResNet, card: Card, as_features: bool) -> None:
        self._network = network
        self._mean = torch.tensor(card.mean).view(1, 3, 1, 1)
        self._std = torch.tensor(card.std).view(1, 3, 1, 1)
        self._as_features = as_features

    def __call__(self, images: Tensor) -> Tensor:
        mean, std = self._mean.to(images), self._std.to(images)
        images = ((images + 1) / 2 - mean) / std
        if self._as_features:
            return features(self._network, images)
        said: Tensor = self._network(images)
        return said


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        hint = "check its permissions"
        raise MlimgError(
            Problem("path-unreadable", f"{folder} cannot be listed: {error.strerror}", hint=hint)
        ) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(Path(entry.path))
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122  Path costs more than the look
            yield Path(entry.path)
