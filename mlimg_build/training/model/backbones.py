"""Networks by the name that a spec gives them. A new family needs one function, and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mlimg_build.training.data.transforms import seeded
from mlimg_build.training.model.backbone import Backbone
from mlimg_build.training.model.timm_networks import timm_network
from mlimg_build.training.model.torchvision_networks import resnet

__all__ = ["BACKBONES", "make_backbone"]

BACKBONES: Mapping[str, Callable[[str, int], Backbone]] = {"": resnet, "timm": timm_network}
"""By what precedes the / in a name: the function that makes a network from the rest of it and the number of outputs."""


def make_backbone(architecture: str, outputs: int, seed: int) -> Backbone:
    """Create the network of that name with random weights that follow from the seed.

    Raises:
        TrainingError: `network-unknown`, `timm-missing`, `network-unusable`.
    """
    family, _, name = architecture.rpartition("/")
    make = BACKBONES.get(family, resnet)
    with seeded(seed, 1):
        return make(name if family in BACKBONES else architecture, outputs)
