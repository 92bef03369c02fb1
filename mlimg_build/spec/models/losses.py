"""Losses of a spec: one model per loss, distinguished by `kind`; the names are those of `training.loss.LOSSES`."""

from __future__ import annotations

import operator
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from mlimg_build.spec.field_types import Flag, Number, Part, Share, refusal, tag_of
from mlimg_build.spec.suggestions import listed, nearest
from mlimg_build.spec.yaml.scalars import shown

__all__ = [
    "LOSSES",
    "AsymmetricLossPart",
    "BinaryCrossEntropyPart",
    "FocalLossPart",
    "Loss",
    "LossPart",
    "MLImagesLossPart",
]

DEFAULT = "ml_images"


class LossPart(Part):
    """What every loss over a batch of multi-label images has."""

    kind: str
    unknown: Literal["masked", "absent"] = Field(
        default="absent",
        description="what a label that nobody stated counts as: absent, as published, or left out",
    )


class MLImagesLossPart(LossPart):
    """The weighted cross-entropy of Tencent ML-Images, and what is taken where no kind is written."""

    kind: Literal["ml_images"] = Field(
        default="ml_images", description="the loss: ml_images, the weighted cross-entropy of the paper"
    )
    positive_weight: Number = Field(
        default=12.0, gt=0, description="weight of a present label against an absent one"
    )
    positive_threshold: Share = Field(
        default=0.7, description="confidence from which a label makes its category positive in a batch"
    )
    adaptive_decay: Flag = Field(
        default=True, description="weigh a category down the longer it keeps its status over batches"
    )
    negative_sampling: Share = Field(
        default=0.1, description="probability that a category without a positive in the batch counts"
    )
    compat: Literal["paper", "tencent-code"] = Field(
        default="paper", description="follow the paper's formula, or what Tencent's published script does"
    )


class BinaryCrossEntropyPart(LossPart):
    """Plain binary cross-entropy."""

    kind: Literal["bce"] = Field(description="the loss: bce, the plain binary cross-entropy")


class FocalLossPart(LossPart):
    """The focal loss: Lin et al. 2017 (arXiv 1708.02002), equations 4 and 5."""

    kind: Literal["focal"] = Field(
        description="the loss: focal, cross-entropy in which what is easy counts less"
    )
    gamma: Number = Field(default=2.0, ge=0, description="how much less an easy label counts; 0 is bce")
    alpha: Share | None = Field(
        default=None,
        description="weight of a present label, 1 - alpha being that of an absent one; without it both are 1",
    )


class AsymmetricLossPart(LossPart):
    """The asymmetric loss: Ridnik et al. 2021 (arXiv 2009.14119), equation 7."""

    kind: Literal["asymmetric"] = Field(
        description="the loss: asymmetric, in which easy absent labels count less than easy present ones"
    )
    gamma_positive: Number = Field(
        default=0.0, ge=0, description="how much less an easy present label counts"
    )
    gamma_negative: Number = Field(default=4.0, ge=0, description="how much less an easy absent label counts")
    margin: Number = Field(
        default=0.05, ge=0, lt=1, description="score below which an absent label counts nothing"
    )


LOSSES: dict[str, type[LossPart]] = {
    "asymmetric": AsymmetricLossPart,
    "bce": BinaryCrossEntropyPart,
    "focal": FocalLossPart,
    "ml_images": MLImagesLossPart,
}
"""Every loss by its `kind`."""


def _known_kind(value: Any) -> Any:
    kinds = listed(LOSSES, "or")
    if isinstance(value, str):
        meant = nearest(value, LOSSES) or DEFAULT
        raise refusal(
            "wrong-type",
            f"expected a mapping of keys to values, found {shown(value)}",
            f"write {{kind: {meant}}}",
        )
    if not isinstance(value, dict) or "kind" not in value:
        return value
    given = value["kind"]
    if isinstance(given, str) and given in LOSSES:
        return value
    near = nearest(given, LOSSES) if isinstance(given, str) else None
    hint = f'did you mean "{near}"?' if near else "the kind of loss decides which other keys it has"
    raise refusal("wrong-value", f"expected {kinds}, found {shown(given)}", hint, at=("kind",))


def _kind_tag(value: Any) -> str:
    given = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return tag_of(given if isinstance(given, str) and given in LOSSES else DEFAULT)


if TYPE_CHECKING:
    Loss = LossPart
else:
    Loss = Annotated[
        reduce(operator.or_, (Annotated[part, Tag(tag_of(kind))] for kind, part in LOSSES.items())),
        Discriminator(_kind_tag),
        BeforeValidator(_known_kind),
    ]
"""A loss of a spec, by its `kind`; `ml_images` if none is written."""
