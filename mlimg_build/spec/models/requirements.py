"""What a finished build has to reach: `require` of a spec."""

from __future__ import annotations

from pydantic import Field

from mlimg_build.spec.field_types import Flag, Part, Share, Whole

__all__ = ["OF_MODEL", "OF_TRANSFER", "Requirements"]

OF_MODEL = ("validation_map", "validation_map_verified")
OF_TRANSFER = ("transfer_top1", "transfer_top5")


class Requirements(Part):
    """Least values of a finished build; one that is below ends with exit 4, and everything is kept."""

    images: Whole | None = Field(default=None, ge=0, description="images of the dataset, at least")
    images_with_bytes: Share | None = Field(
        default=None, description="share of the dataset's images that have bytes"
    )
    fetched: Share | None = Field(
        default=None, description="share of the images at URLs, without withdrawn ones, whose bytes came"
    )
    images_labelled: Share | None = Field(
        default=None, description="share of the sources' images that are in the dataset"
    )
    categories: Whole | None = Field(default=None, ge=0, description="categories of the dataset, at least")
    mapping_reviewed: Share | None = Field(
        default=None,
        description="share of the used source categories that a person decided or that came with a WordNet id",
    )
    validation_map: Share | None = Field(
        default=None,
        description="mean average precision on the validation images with unknown as absent, 0 to 1",
    )
    validation_map_verified: Share | None = Field(
        default=None, description="the same on the entries that people verified"
    )
    transfer_top1: Share | None = Field(default=None, description="top-1 accuracy after the transfer, 0 to 1")
    transfer_top5: Share | None = Field(default=None, description="top-5 accuracy after the transfer, 0 to 1")
    at_fraction: Flag = Field(default=False, description="also check builds of a fraction")
