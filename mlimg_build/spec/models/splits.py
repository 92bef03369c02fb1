"""The splits of a dataset, and how a source's own splits are placed in them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["SPLITS", "OwnSplits"]

SPLITS = ("train", "validation", "transfer", "transfer_validation")
PlacedSplit = Literal["train", "validation", "transfer", "transfer_validation", "none"]

OwnSplits = Annotated[
    dict[str, PlacedSplit],
    Field(description="where the source's own splits go, as {train: train, val: validation, test: none}"),
]
