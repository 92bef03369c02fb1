"""What sources of every type have."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from mlimg_build.spec.field_types import Kind, OnePath, Part, Share, Whole, Wnid, refusal, tag_of
from mlimg_build.spec.models.grouping import Grouping
from mlimg_build.spec.models.splits import OwnSplits
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["CLASSES", "CategoryIds", "CommonSource", "SplitSource", "WnidList"]

CLASSES = (
    "names of the categories: CSV of category id and name, with or without the header LabelName,DisplayName"
)
LIST_TAG, FILE_TAG = tag_of("list"), tag_of("file")


def _list_or_file(value: Any) -> str:
    return LIST_TAG if isinstance(value, tuple | list | dict) else FILE_TAG


TextFile = Annotated[OnePath, Tag(FILE_TAG)]
CategoryIds = Annotated[
    Annotated[tuple[str, ...], Tag(LIST_TAG)] | TextFile, Discriminator(_list_or_file), Kind("file")
]
WnidList = Annotated[
    Annotated[tuple[Wnid, ...], Tag(LIST_TAG)] | TextFile, Discriminator(_list_or_file), Kind("file")
]


class CommonSource(Part):
    """What every source has."""

    licence: str = Field(default="", description="licence of the images that state none of their own")
    author: str = Field(default="", description="author of the images that state none of their own")
    min_confidence: Share = Field(default=0.0, description="labels of lower confidence do not count; 0 to 1")
    min_images_per_category: Whole = Field(
        default=0, ge=0, description="categories with fewer images in this source are not used"
    )
    exclude: CategoryIds = Field(
        default=(),
        description="ids of this source's categories that are not used: a list, or a text file of one id a "
        "line with # comments",
    )
    split: Literal["auto", "train", "validation", "transfer", "transfer_validation"] = Field(
        default="auto",
        description="where the images go; auto draws between train and validation by the spec's split",
    )
    group: Grouping | None = Field(
        default=None,
        description="which of this source's images stay in one split, by their names in the source; "
        "without it the spec's split.by holds",
    )

    @field_validator("licence", "author")
    @classmethod
    def _can_be_stored(cls, text: str) -> str:
        if "\0" in text:
            raise refusal("wrong-value", f"expected text, found {shown(text)}", "remove its zero byte")
        return text


class SplitSource(CommonSource):
    """What a source has that may itself say in which split an image is."""

    splits: OwnSplits = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_drawn(self) -> SplitSource:
        if self.splits and self.split != "auto":
            hint = "remove one of the two"
            raise refusal(
                "wrong-value",
                "split puts all images into one, and splits says where they go",
                hint,
                at=("splits",),
            )
        return self
