"""Networks by name, which of their parameters learn, and how."""

from __future__ import annotations

from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet

from mlimg_build.spec import Optimizer
from mlimg_build.training.data.transforms import seeded

__all__ = ["STAGES", "features", "freeze", "make_network", "parameter_groups", "replace_head"]

STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def make_network(architecture: str, outputs: int, seed: int) -> ResNet:
    """torchvision's ResNet of that name with random weights that follow from the seed."""
    with seeded(seed, 1):
        network: ResNet = getattr(torchvision.models, architecture)(num_classes=outputs)
    return network


def replace_head(network: ResNet, outputs: int, seed: int) -> None:
    """The network ends in a new layer of `outputs` logits, its random weights from the seed."""
    with seeded(seed, 2):
        network.fc = nn.Linear(network.fc.in_features, outputs)


def freeze(network: ResNet, stages: int) -> None:
    """The first `stages` of the five (stem, layer1 to layer4) neither learn nor change their batch-norm statistics.

    Call it again after `network.train()`, which would let the statistics change.
    """
    for names in STAGES[:stages]:
        for name in names:
            module = getattr(network, name)
            module.requires_grad_(False)
            module.eval()


def parameter_groups(network: nn.Module, optimizer: Optimizer) -> list[dict[str, Any]]:
    """The parameters that learn, in two groups: batch norm with its share of the weight decay, and the rest."""
    norm: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for module in network.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                (norm if isinstance(module, nn.BatchNorm2d) else rest).append(parameter)
    decay = optimizer.weight_decay
    return [
        {"params": rest, "weight_decay": decay},
        {"params": norm, "weight_decay": decay * optimizer.norm_share},
    ]


def features(network: ResNet, images: Tensor) -> Tensor:
    """What the last layer sees: float[images, 512 or 2048], averaged over the picture.

    `images` is float[images, 3, height, width], scaled to [-1, 1].
    """
    x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    x = network.layer4(network.layer3(network.layer2(network.layer1(x))))
    return torch.flatten(network.avgpool(x), 1)
