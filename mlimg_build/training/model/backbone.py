"""A network as the rest of the training uses it, whichever library it is from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import Optimizer
from mlimg_build.training.data.transforms import HALF, Triple, normalise, seeded

__all__ = ["Backbone", "is_below", "try_size"]


@dataclass(frozen=True, slots=True)
class Backbone:
    """A network for images of three channels that ends in a layer of logits.

    `head` names the modules of that layer, `width` is the number of its input features, `stages` are names of modules
    or parameters from the input on, without the head. `spared` names the parameters that get the spec's
    `norm_share` of the weight decay. Inputs are (pixels / 255 - `mean`) / `std`; `native_size` is the side in pixels
    that the network was made for. With `scaled_as_published` the scale is that of ML-Images and not that of the
    library's own weights.
    """

    architecture: str
    module: nn.Module
    head: tuple[str, ...]
    width: int
    stages: tuple[tuple[str, ...], ...]
    spared: Callable[[nn.Module], Set[str]]
    new_head: Callable[[nn.Module, int], None]
    pooled: Callable[[nn.Module, Tensor], Tensor]
    mean: Triple = HALF
    std: Triple = HALF
    native_size: int = 224
    scaled_as_published: bool = False

    def move(self, device: torch.device, memory_format: torch.memory_format) -> None:
        """Move the network to a device, and its weights to a memory format."""
        module: Any = self.module  # the types of `Module.to` do not allow both at once
        module.to(device, memory_format=memory_format)

    def inputs(self, pixels: Tensor) -> Tensor:
        """Return uint8[images, 3, height, width] normalised for the network, float32."""
        return normalise(pixels, self.mean, self.std)

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits, float[images, outputs], of uint8[images, 3, height, width]."""
        said: Tensor = self.module(self.inputs(pixels))
        return said

    def features(self, pixels: Tensor) -> Tensor:
        """Return the head's input, pooled over the image: float[images, width] of uint8[images, 3, height, width]."""
        return self.pooled(self.module, self.inputs(pixels))

    def replace_head(self, outputs: int, seed: int) -> None:
        """Replace the head by a new layer of `outputs` logits, whose random weights follow from the seed."""
        with seeded(seed, 2):
            self.new_head(self.module, outputs)

    def head_bias(self) -> nn.Parameter | None:
        """Return the bias of the layer of logits, float[outputs]; None if it has none, or several."""
        found = [
            parameter
            for name, parameter in self.module.named_parameters()
            if is_below(name, self.head) and parameter.ndim == 1
        ]
        return found[0] if len(found) == 1 else None

    @contextmanager
    def shifted(self, shift: Tensor | None) -> Iterator[None]:
        """Subtract `shift`, float64[outputs], from the bias of the layer of logits while the block runs; None: nothing.

        Raises:
            ValueError: if the network has no such bias.
        """
        if shift is None:
            yield
            return
        bias = self.head_bias()
        if bias is None:
            raise ValueError(f"{self.architecture} has no bias of its logits")
        trained = bias.detach().clone()
        with torch.no_grad():
            bias.copy_((trained.double() - shift.to(trained.device)).to(trained.dtype))
        try:
            yield
        finally:
            with torch.no_grad():
                bias.copy_(trained)

    def freeze(self, stages: int) -> None:
        """Freeze the first `stages`: their parameters and batch-norm statistics do not change.

        Call it again after `module.train()`, which lets the statistics change.

        Raises:
            TrainingError: `too-many-stages` if the network has fewer.
        """
        if stages > len(self.stages):
            message = f"{self.architecture} has {len(self.stages)} stages, and {stages} are to be frozen"
            hint = f"write freeze_stages: {len(self.stages)} or fewer; its head always learns"
            raise TrainingError(Problem("too-many-stages", message, hint=hint))
        names = [name for stage in self.stages[:stages] for name in stage]
        frozen = set()
        for name, parameter in self.module.named_parameters():
            if is_below(name, names):
                parameter.requires_grad_(False)
                frozen.add(name)
        for path, module in self.module.named_modules():
            own = [f"{path}.{name}" if path else name for name, _ in module.named_parameters()]
            if own and frozen.issuperset(own):
                module.eval()

    def parameter_groups(self, optimizer: Optimizer) -> list[dict[str, Any]]:
        """Return the trainable parameters in two groups: those with full weight decay, and the spared ones."""
        spared = self.spared(self.module)
        groups: tuple[list[nn.Parameter], list[nn.Parameter]] = [], []
        for name, parameter in self.module.named_parameters():
            if parameter.requires_grad:
                groups[name in spared].append(parameter)
        decay = optimizer.weight_decay
        return [
            {"params": groups[False], "weight_decay": decay},
            {"params": groups[True], "weight_decay": decay * optimizer.norm_share},
        ]

    def outputs_of(self, state: Mapping[str, Tensor]) -> int:
        """Return the number of outputs of the head in a state dict of such a network; 0 if it has no head."""
        lengths = [len(value) for name, value in state.items() if is_below(name, self.head) and value.ndim]
        return lengths[-1] if lengths else 0


def is_below(name: str, above: tuple[str, ...] | list[str]) -> bool:
    """Return whether a parameter is one of these, or in a module that is.

    >>> is_below("layer1.0.conv1.weight", ["layer1"]), is_below("layer10.bias", ["layer1"])
    (True, False)
    """
    return any(name == other or name.startswith(f"{other}.") for other in above)


def try_size(backbone: Backbone, size: int) -> None:
    """Run the network on one black image of `size` × `size` pixels, to find at once whether it takes this size.

    Raises:
        TrainingError: `network-refuses-size` if it does not.
    """
    learns = backbone.module.training
    backbone.module.eval()
    try:
        with torch.no_grad():
            said = backbone.logits(torch.zeros(1, 3, size, size, dtype=torch.uint8))
        if said.ndim != 2:
            raise ValueError(f"its outputs have the shape {tuple(said.shape)}")
    except (RuntimeError, AssertionError, ValueError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        message = f"{backbone.architecture} does not work on images of {size} × {size} pixels: {reason}"
        hint = f"it was made for {backbone.native_size} × {backbone.native_size}: write that size"
        raise TrainingError(Problem("network-refuses-size", message, hint=hint)) from error
    finally:
        backbone.module.train(learns)
