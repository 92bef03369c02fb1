"""Names of networks, as a spec writes them: torchvision's ResNets, and `timm/NAME` for every network of timm."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from mlimg_build.spec.field_types import refusal
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["RESNETS", "RESNET_STAGES", "NetworkName"]

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
RESNET_STAGES = 5  # the stem and four layers
TIMM = re.compile(r"timm/[a-z0-9_]+(\.[a-z0-9_]+)?", re.ASCII)  # no name of a hub, so nothing is downloaded


def _network(value: Any) -> Any:
    """Return the name if it is valid for a family of networks; whether timm has it is checked when it is loaded."""
    if isinstance(value, str) and (value in RESNETS or TIMM.fullmatch(value)):
        return str(value)
    choices = listed([*RESNETS, "timm/NAME"], "or")
    near = nearest(value, RESNETS) if isinstance(value, str) and not value.startswith("timm") else None
    hint = (
        f'did you mean "{near}"?' if near else "a network of timm is written as timm/NAME: timm/resnetaa101d"
    )
    raise refusal("wrong-value", f"expected {choices}, found {shown(value)}", hint)


NetworkName = Annotated[
    str,
    BeforeValidator(_network),
    WithJsonSchema({"anyOf": [{"enum": list(RESNETS)}, {"type": "string", "pattern": f"^{TIMM.pattern}$"}]}),
]
"""The name of a network."""
