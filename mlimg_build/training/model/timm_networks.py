"""Every network of timm, described by timm's own configuration."""

from __future__ import annotations

from collections.abc import Sequence, Set
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mlimg_build.errors import Problem, TrainingError
from mlimg_build.spec import nearest
from mlimg_build.training.data.transforms import Triple
from mlimg_build.training.model.backbone import Backbone, is_below

__all__ = ["timm_network"]

ANY_SIZE: tuple[dict[str, bool], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})
"""Options that let a network of a fixed input size take others; the first that the network's class knows is used."""


def timm_network(name: str, outputs: int) -> Backbone:
    """Create timm's network of that name, `NAME` or `NAME.TAG`, with random weights; nothing is downloaded.

    The mean and deviation of its inputs and the names of its head are those of its `pretrained_cfg`, its stages are the
    groups of its coarse `group_matcher` (the stem, then its stages or blocks). Norms, biases and other vectors, and
    what timm's class lists in `no_weight_decay`, are spared weight decay, as by timm's own optimizers.

    Raises:
        TrainingError: `timm-missing`, `network-unknown` with the nearest name, `network-unusable`.
    """
    if find_spec("timm") is None:
        message = f"the network timm/{name} needs the package timm, which is not installed"
        hint = "pip install 'mlimg[timm]', then run the same command again"
        raise TrainingError(Problem("timm-missing", message, hint=hint))
    timm: Any = import_module("timm")  # an optional extra, so its types are not available
    tag = name.partition(".")[2]
    if not timm.is_model(name) or (tag and name not in timm.list_models(name, pretrained=True)):
        near = nearest(name, {*timm.list_models(), *timm.list_models(pretrained=True)})
        hint = f'did you mean "timm/{near}"?' if near else "timm.list_models() names them"
        message = f"timm {timm.__version__} has no network {name!r}"
        raise TrainingError(Problem("network-unknown", message, hint=hint))
    module = _made(timm, name, outputs)
    told = getattr(module, "pretrained_cfg", {})
    head = _head(module)
    return Backbone(
        architecture=f"timm/{name}",
        module=module,
        head=head,
        width=int(getattr(module, "head_hidden_size", None) or module.num_features),
        stages=_stages(module, head),
        spared=_vectors,
        new_head=_new_head,
        pooled=_pooled,
        mean=_three(told["mean"]),
        std=_three(told["std"]),
        native_size=int(told["input_size"][-1]),
    )


def _made(timm: Any, name: str, outputs: int) -> Any:
    fixed = timm.get_pretrained_cfg(name).fixed_input_size
    for options in ANY_SIZE if fixed else ({},):
        state = torch.get_rng_state()
        try:
            with torch.device("cpu"):  # some compute buffers that no state dict has, so meta would lose them
                return timm.create_model(name, pretrained=False, num_classes=outputs, **options)
        except TypeError as error:
            if not options or next(iter(options)) not in str(error):
                raise _unusable(name, error) from error
            torch.set_rng_state(state)
        except (RuntimeError, ImportError, AssertionError, ValueError) as error:
            raise _unusable(name, error) from error
    raise AssertionError("the last options are none")


def _three(values: Sequence[float]) -> Triple:
    red, green, blue = map(float, values)
    return red, green, blue


def _unusable(name: str, error: Exception) -> TrainingError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    hint = "choose another network"
    return TrainingError(Problem("network-unusable", f"timm/{name} cannot be made: {reason}", hint=hint))


def _head(module: Any) -> tuple[str, ...]:
    """Return the names of the modules that give logits; several if a network is trained with two heads."""
    last = module.get_classifier()
    heads = list(last) if isinstance(last, tuple | list) else [last]
    return tuple(path for path, found in module.named_modules() if any(found is head for head in heads))


def _stages(module: Any, head: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return names of parameters by stage, without the group of the head; one stage if timm defines none."""
    group_parameters: Any = import_module("timm.models").group_parameters
    try:
        found = group_parameters(module, module.group_matcher(coarse=True))
    except (AttributeError, AssertionError, NotImplementedError):  # a class without coarse groups
        names = (name for name, _ in module.named_parameters())
        return (tuple(name for name in names if not is_below(name, head)),)
    stages = [tuple(found[number]) for number in sorted(found)]
    return tuple(stage for stage in stages if not any(is_below(name, head) for name in stage))


def _vectors(network: nn.Module) -> Set[str]:
    listed: Set[str] = getattr(network, "no_weight_decay", set)()
    return {
        name
        for name, parameter in network.named_parameters()
        if parameter.ndim <= 1 or name.endswith(".bias") or name in listed
    }


def _new_head(network: Any, outputs: int) -> None:
    network.reset_classifier(outputs)


def _pooled(network: Any, images: Tensor) -> Tensor:
    seen: Tensor = network.forward_head(network.forward_features(images), pre_logits=True)
    return seen.flatten(1)
