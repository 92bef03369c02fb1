"""The moving average of a network's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["MovingAverage"]


class MovingAverage(AveragedModel):
    """An `AveragedModel` of parameters and buffers, average = decay * average + (1 - decay) * weights.

    It begins at the weights of the first update. The values are those of torch's own update, which copies its number of
    updates to the device several times a step, and waits.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, use_buffers=True)
        self._decay = decay

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the current weights and buffers of `model`, a network of the same modules on the same device."""
        weights: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
        begins = bool(self.n_averaged == 0)  # on the CPU
        for average, current in zip(_values(self.module), _values(model), strict=True):
            if begins:
                average.copy_(current)
            elif average.is_floating_point():
                both = weights.setdefault(average.dtype, ([], []))
                both[0].append(average)
                both[1].append(current)
            else:
                average.copy_(average * self._decay + current * (1 - self._decay))
        for averages, currents in weights.values():
            torch._foreach_lerp_(averages, currents, 1 - self._decay)
        self.n_averaged += 1


def _values(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
