"""Predict labels or features of any number of image files with a trained network."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from mlimg_build.errors import ImageError, MlimgError, Problem, TrainingError
from mlimg_build.images import available_decoder, open_image
from mlimg_build.regular_files import read_regular
from mlimg_build.training.data.views import BATCH, ahead, logits_of, view_of
from mlimg_build.training.devices import ComputeDevice
from mlimg_build.training.evaluate.category_tree import CategoryTree
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.model_files import Card

__all__ = [
    "Label",
    "ModelOutputs",
    "Predicted",
    "Score",
    "find_images",
    "joined",
    "name_of",
    "predict",
    "run_model",
]

LARGEST = 1 << 30  # bytes of an image
LIKELY = 0.5  # score of a sigmoid from which a label is likely where the model has no threshold
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp"),
        *(".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    }
)
"""Suffixes of the formats that are read, the same that sources accept for images."""
ONE_FILE = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EIO,
        errno.EACCES,
        errno.EPERM,
        errno.EINVAL,
        errno.EFBIG,
    }
)


@dataclass(frozen=True, slots=True)
class Score:
    """A label and its score, 0 to 1."""

    wnid: str
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Label:
    """A label with its score, and what is above it up to a root, the nearest first; all scores are the network's."""

    wnid: str
    name: str
    score: float
    path: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ModelOutputs:
    """The outputs for a batch of images: `values` is float32[images, …], NaN in the rows of those that have a `reason`.

    `statuses` and `reasons` say of each image why it could not be read: "ok" and "" if it could.
    """

    paths: tuple[Path, ...]
    statuses: tuple[str, ...]
    reasons: tuple[str, ...]
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Predicted:
    """An image and its labels, none if it could not be read.

    `printed` are the paths of what a person reads: a specific label and what is above it, in which no score is lower
    than the one before. If `reached` is false, no label of them scores enough, and there is one path, the closest.
    `part` is the best category without parts below them, where each of them has parts.
    """

    path: Path
    status: str
    reason: str
    labels: tuple[Label, ...]
    printed: tuple[tuple[Score, ...], ...] = ()
    reached: bool = True
    part: Score | None = None

    @property
    def name(self) -> str:
        """The path as text."""
        return name_of(self.path)


def joined(parts: Sequence[ModelOutputs]) -> ModelOutputs:
    """Join several batches into one."""
    return ModelOutputs(
        tuple(path for part in parts for path in part.paths),
        tuple(status for part in parts for status in part.statuses),
        tuple(reason for part in parts for reason in part.reasons),
        np.concatenate([part.values for part in parts]),
    )


def name_of(path: Path) -> str:
    """Return the path as text that can be written anywhere: bytes that are not UTF-8 become escapes.

    >>> name_of(Path("a/b.jpg")), name_of(Path(os.fsdecode(b"\\xff.jpg")))
    ('a/b.jpg', '\\\\xff.jpg')
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def find_images(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as they are given, and below a folder every image by its suffix, sorted within each folder.

    Links to folders are followed; each folder is visited once.

    Raises:
        TrainingError: `path-missing`.
        MlimgError: `path-unreadable` if a folder cannot be listed.
    """
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path.is_dir():
            yield from _below(path, seen)
        elif path.exists():
            yield path
        else:
            hint = "give image files or folders of them"
            if set(path.name) & set("*?["):
                hint += "; a pattern is not looked up here: leave out the quotes, and the shell does it"
            raise TrainingError(Problem("path-missing", f"there is no {path}", hint=hint))


def run_model(
    backbone: Backbone,
    card: Card,
    paths: Iterable[Path],
    machine: ComputeDevice,
    *,
    as_features: bool = False,
) -> Iterator[ModelOutputs]:
    """Yield logits of the images in batches, or with `as_features` the last layer's input; in order, in bounded memory.

    Every image is decoded fully before it is used; a damaged one has a row and a reason. The network must be on
    `machine.device`.

    Raises:
        TrainingError: `read-failed` if an image was not read for a reason that is not its own, such as a lost mount.
    """
    width = backbone.width if as_features else len(card.categories)
    run = backbone.features if as_features else backbone.logits

    def view(path: Path) -> tuple[Path, Tensor | None, str, str]:
        try:
            if not path.is_file():  # reading a pipe would wait for ever
                if not path.parent.is_dir():
                    raise _not_read(path, "its folder is not there any more")
                return path, None, "unreadable", "it is no file, or a link that leads nowhere"
            seen = view_of(open_image(read_regular(path, LARGEST), available_decoder()), card.image_size)
        except ImageError as error:
            return path, None, error.code.replace("-", "_"), error.problems[0].message
        except OSError as error:
            if error.errno not in ONE_FILE:
                raise _not_read(path, str(error.strerror or error)) from error
            return path, None, "unreadable", str(error.strerror or error)
        return path, seen, "ok", ""

    made = ahead(view, paths)
    while batch := list(islice(made, BATCH)):
        values = np.full((len(batch), width), np.nan, np.float32)
        good = [i for i, (_, image, _, _) in enumerate(batch) if image is not None]
        if good:
            images = torch.stack([image for _, image, _, _ in batch if image is not None])
            values[good] = logits_of(run, images, machine, "fp32").numpy()
        yield ModelOutputs(
            tuple(path for path, *_ in batch),
            tuple(status for _, _, status, _ in batch),
            tuple(reason for *_, reason in batch),
            values,
        )


def _not_read(path: Path, why: str) -> TrainingError:
    hint = "look at the mount and the machine, and run the same command again"
    return TrainingError(Problem("read-failed", f"{name_of(path)} was not read: {why}", hint=hint))


def predict(
    backbone: Backbone,
    card: Card,
    paths: Iterable[Path],
    machine: ComputeDevice,
    *,
    top: int = 5,
    least: float | None = None,
    likely: float = LIKELY,
) -> Iterator[Predicted]:
    """Yield up to `top` labels of each image that score at least `least`, the most specific first.

    A label is likely if it scores `likely` or more (sigmoid), or any score (softmax). The most specific likely labels,
    which have no likely descendant in the model's hierarchy, come first by score; their ancestors follow, the deepest
    first. Without `least`, only likely labels are given, or the best of any score if none is likely. With `least` below
    that limit, the best unlikely labels follow, so that no likely one is lost; with `least` above it, `least` is the
    limit. `CategoryTree.printed` tells which paths are printed.

    Raises:
        TrainingError: those of `run_model`.
    """
    tree = CategoryTree(
        [category.parents for category in card.categories],
        [category.positives for category in card.categories],
    )
    if card.activation == "softmax":
        likely = 0.0

    def named(number: int, score: float) -> Score:
        return Score(card.categories[number].wnid, card.categories[number].name, score)

    def label(number: int, scores: NDArray[np.float64]) -> Label:
        path = tuple(named(above, float(scores[above])) for above in tree.path(scores, number))
        return Label(card.categories[number].wnid, card.categories[number].name, float(scores[number]), path)

    for seen in run_model(backbone, card, paths, machine):
        logits = seen.values.astype(np.float64)
        if card.activation == "sigmoid":
            scores = expit(logits)
        else:
            scores = np.exp(logits - logits.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        for i, path in enumerate(seen.paths):
            if seen.statuses[i] != "ok":
                yield Predicted(path, seen.statuses[i], seen.reasons[i], ())
                continue
            chosen = tree.choose(scores[i], likely, least, top)
            told = tree.printed(scores[i], likely, least, top)
            yield Predicted(
                path,
                "ok",
                seen.reasons[i],
                tuple(label(number, scores[i]) for number in chosen),
                tuple(tuple(named(number, shown) for number, shown in line) for line in told.paths),
                told.reached,
                None if told.part is None else named(*told.part),
            )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _below(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        state = folder.stat()
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        hint = "check its permissions"
        raise MlimgError(
            Problem("path-unreadable", f"{folder} cannot be listed: {error.strerror}", hint=hint)
        ) from error
    for entry in entries:
        if _is_folder(entry):
            yield from _below(Path(entry.path), seen)
        elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:  # noqa: PTH122  Path costs more than the look
            yield Path(entry.path)
