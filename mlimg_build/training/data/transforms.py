"""Transforms of an image of any size to the network's input: random for training, deterministic for evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from mlimg_build.spec import Augmentation
from mlimg_build.training.data.shuffle_order import splitmix64

__all__ = ["HALF", "KEPT", "Triple", "normalise", "seeded", "training_transform", "viewing_transform"]

KEPT = 0.875  # share of the short side that an evaluation's centre crop keeps: 224 of 256, as is usual for ImageNet
Triple = tuple[float, float, float]
HALF: Triple = (0.5, 0.5, 0.5)  # as mean and standard deviation: scales pixels to [-1, 1], as published


def training_transform(part: Augmentation, size: int) -> tuple[v2.Compose, int]:
    """Return the published augmentation to `size` pixels, and the short side that an image should have for it.

    A random crop, then a flip, a rotation and a change of colours on as many images as the spec says;
    uint8[3, h, w] becomes uint8[3, size, size]. Brightness varies by 32/255, contrast and saturation by a half, hue by
    a fifth of the circle to either side: the ranges of the Inception preprocessing; the paper gives none.
    """
    steps: list[nn.Module] = [
        v2.RandomResizedCrop(size, scale=part.crop_area, ratio=part.aspect, antialias=True)
    ]
    if part.flip_share:
        steps.append(v2.RandomHorizontalFlip(part.flip_share))
    if part.rotation_share and part.rotation_degrees:
        turn = v2.RandomRotation(part.rotation_degrees, interpolation=v2.InterpolationMode.BILINEAR)
        steps.append(v2.RandomApply([turn], p=part.rotation_share))
    if part.colour_jitter_share:
        jitter = v2.ColorJitter(brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2)
        steps.append(v2.RandomApply([jitter], p=part.colour_jitter_share))
    narrowest = math.sqrt(part.crop_area[0] / max(part.aspect[1], 1 / part.aspect[0]))
    return v2.Compose(steps), math.ceil(1.25 * size / narrowest)


def viewing_transform(size: int) -> tuple[v2.Compose, int]:
    """Return the centre crop for evaluation and use, and the short side that an image should have for it.

    The short side becomes size / 0.875 pixels, and the middle is kept; uint8[3, h, w] becomes uint8[3, size, size].
    """
    side = round(size / KEPT)
    steps = [_Middle(), v2.Resize(side, antialias=True), v2.CenterCrop(size)]
    return v2.Compose(steps), math.ceil(1.25 * side)


class _Middle(nn.Module):
    """Crops an image more than twice as long as it is short to its middle: enlarging the rest could fill memory."""

    def forward(self, image: Tensor) -> Tensor:
        """Return uint8[3, h, w], at most twice as long as short."""
        height, width = image.shape[-2:]
        most = 2 * min(height, width)
        top, left = max(0, height - most) // 2, max(0, width - most) // 2
        return image[..., top : top + most, left : left + most]


def normalise(images: Tensor, mean: Triple = HALF, std: Triple = HALF) -> Tensor:
    """Return (pixels / 255 - mean) / std by channel, float32, of uint8[n, 3, h, w]; in [-1, 1] by default."""
    wide = images.float()
    if len({*mean}) == len({*std}) == 1:  # scalars need no copy to a GPU, and round as in earlier versions
        return wide.sub_(255 * mean[0]).div_(255 * std[0])
    by_channel = (255 * torch.tensor([mean, std], dtype=wide.dtype)).to(wide.device)[..., None, None]
    return wide.sub_(by_channel[0]).div_(by_channel[1])


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed torch's CPU generator from `key` inside the block; restore its earlier state afterwards."""
    state = torch.default_generator.get_state()
    torch.default_generator.manual_seed(int(splitmix64(*key)) >> 1)
    try:
        yield
    finally:
        torch.default_generator.set_state(state)
