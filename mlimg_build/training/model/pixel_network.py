"""A network that takes pixels: torch.compile makes one program of it and of the normalisation before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlimg_build.training.model.backbone import Backbone

__all__ = ["PixelNetwork"]


class PixelNetwork(nn.Module):
    """`Backbone.logits` as a module, on one device: what the two give is equal to the bit.

    The means and deviations of the channels stay on the device; `Backbone.inputs` copies them at every call.
    """

    by_channel: Tensor

    def __init__(self, backbone: Backbone, device: torch.device) -> None:
        super().__init__()
        self.module = backbone.module
        self._mean, self._std = backbone.mean, backbone.std
        self._is_even = len({*backbone.mean}) == len({*backbone.std}) == 1
        scale = 255 * torch.tensor([backbone.mean, backbone.std], dtype=torch.float32)
        self.register_buffer("by_channel", scale.to(device)[..., None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits, float[images, outputs], of uint8[images, 3, height, width]."""
        wide = pixels.float()
        if self._is_even:
            inputs = wide.sub_(255 * self._mean[0]).div_(255 * self._std[0])
        else:
            inputs = wide.sub_(self.by_channel[0]).div_(self.by_channel[1])
        said: Tensor = self.module(inputs)
        return said
