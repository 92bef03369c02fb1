"""torchvision's ResNets."""

from __future__ import annotations

from collections.abc import Set

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import ResNet

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import RESNETS
from mlimg_build.training.model.backbone import Backbone

__all__ = ["resnet"]

STAGES = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))


def resnet(name: str, outputs: int) -> Backbone:
    """Create torchvision's ResNet of that name; its inputs are pixels scaled to [-1, 1], as published.

    Raises:
        TrainingError: `network-unknown`.
    """
    if name not in RESNETS:
        hint = f"networks are {', '.join(RESNETS)} and timm/NAME"
        raise TrainingError(Problem("network-unknown", f"there is no network {name!r}", hint=hint))
    module: ResNet = getattr(torchvision.models, name)(num_classes=outputs)
    return Backbone(
        architecture=name,
        module=module,
        head=("fc",),
        width=module.fc.in_features,
        stages=STAGES,
        spared=_batch_norm,
        new_head=_new_head,
        pooled=_pooled,
        scaled_as_published=True,
    )


def _batch_norm(network: nn.Module) -> Set[str]:
    return {
        f"{path}.{name}"
        for path, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for name, _ in module.named_parameters(recurse=False)
    }


def _new_head(network: ResNet, outputs: int) -> None:
    network.fc = nn.Linear(network.fc.in_features, outputs)


def _pooled(network: ResNet, images: Tensor) -> Tensor:
    x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    x = network.layer4(network.layer3(network.layer2(network.layer1(x))))
    return torch.flatten(network.avgpool(x), 1)
