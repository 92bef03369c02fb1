"""Check that a spec's network can be trained as the spec says, before hours of building."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlimg_build.errors import MlimgError
from mlimg_build.spec import LoadedSpec
from mlimg_build.training.model.backbone import try_size
from mlimg_build.training.model.backbones import make_backbone
from mlimg_build.training.model.initial_weights import begin_with, find_weights

__all__ = ["check_network"]


def check_network(loaded: LoadedSpec) -> None:
    """Create the network of `training` and try the spec's weights, input sizes and frozen stages; nothing is kept.

    Raises:
        TrainingError: those of `make_backbone`, `try_size` and `freeze`, each with its place in the spec.
        CheckpointError: those of `find_weights` and `begin_with`, with their place in the spec.
    """
    training, transfer = loaded.spec.training, loaded.spec.transfer
    if training is None:
        return
    with _at(loaded, "training", "model"):
        backbone = make_backbone(training.model, 2, training.seed)
    if training.weights is not None:
        with _at(loaded, "training", "weights"):
            begin_with(backbone, find_weights(training.weights), ())
    with _at(loaded, "training", "image_size"):
        try_size(backbone, training.image_size)
    if transfer is None:
        return
    with _at(loaded, "transfer", "freeze_stages"):
        backbone.freeze(transfer.freeze_stages)
    for i, size in enumerate(transfer.sizes):
        if size.epoch < transfer.epochs:
            with _at(loaded, "transfer", "sizes", i):
                try_size(backbone, size.size)


@contextmanager
def _at(loaded: LoadedSpec, *path: str | int) -> Iterator[None]:
    """Give this place of the spec to the problems of an error raised inside that have none."""
    try:
        yield
    except MlimgError as error:
        place = loaded.place(*path)
        raise type(error)(
            replace(problem, place=problem.place or place) for problem in error.problems
        ) from error
