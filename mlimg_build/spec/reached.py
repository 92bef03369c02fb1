"""Find settings of a training that take effect at an epoch that the training does not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mlimg_build.spec.models.specification import Spec
from mlimg_build.spec.models.training import Training, Transfer

__all__ = ["Unreached", "unreached"]


class Unreached(NamedTuple):
    """A setting that never takes effect: where it is written, what that means, what to do."""

    path: tuple[str | int, ...]
    message: str
    hint: str


def unreached(spec: Spec) -> Iterator[Unreached]:
    """Yield written settings for epochs that the training or transfer does not reach; defaults are not reported."""
    for name, part in (("training", spec.training), ("transfer", spec.transfer)):
        if part is None:
            continue
        yield from _rate(name, part)
        if isinstance(part, Transfer) and "sizes" in part.model_fields_set:
            for i, size in enumerate(part.sizes):
                if size.epoch >= part.epochs:
                    message = f"images are {size.size} px from epoch {size.epoch}, and the last is {part.epochs - 1}"
                    hint = f"raise {name}.epochs, or begin earlier: epochs count from 0"
                    yield Unreached((name, "sizes", i), message, hint)


def _rate(name: str, part: Training | Transfer) -> Iterator[Unreached]:
    rate, epochs = part.learning_rate, part.epochs
    given = rate.model_fields_set
    if "warm_up_epochs" in given and rate.warm_up_epochs >= epochs:
        message = f"a warm-up of {rate.warm_up_epochs} epochs is all of {epochs}, so the rate never reaches its base"
        yield Unreached(
            (name, "learning_rate", "warm_up_epochs"), message, f"lower it, or raise {name}.epochs"
        )
        return
    first = rate.warm_up_epochs + rate.decay_every
    if "decay_every" in given and rate.kind == "steps" and first >= epochs:
        message = f"the rate would fall after epoch {first}, and there are {epochs}, so it never falls"
        yield Unreached((name, "learning_rate", "decay_every"), message, f"lower it, or raise {name}.epochs")
