"""Groups of images that stay in one split: those of one patient, video or photographer."""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from mlimg_build.spec.field_types import OptionalFile, Part, refusal
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["Grouping"]

WAYS = ("column", "file", "pattern")


class Grouping(Part):
    """Images of one group go to one split; one of three ways says which group an image is in."""

    column: str | None = Field(
        default=None,
        min_length=1,
        description="column of a table, or of Parquet with images, that holds the image's group",
    )
    file: OptionalFile = Field(
        default=None, description="table with the columns id and group: .csv, .tsv or .parquet"
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        description="regular expression (Python's) that is searched in the image's id; the text in its brackets "
        "is the group",
    )

    @field_validator("pattern")
    @classmethod
    def _one_bracket(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            found = re.compile(pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            hint = "see docs.python.org/3/library/re.html#regular-expression-syntax"
            raise refusal("wrong-value", f"the pattern cannot be read: {error}", hint) from None
        if found != 1:
            count = f"has {found} pairs of brackets" if found else "has no brackets"
            hint = 'put ( ) around the part of the id that names the group, "^(.*)_frame", and write others as (?: )'
            raise refusal("wrong-value", f"{shown(pattern)} {count}, and one says what the group is", hint)
        return pattern

    @model_validator(mode="after")
    def _one_way(self) -> Grouping:
        given = [way for way in WAYS if getattr(self, way) is not None]
        if len(given) == 1:
            return self
        sentence = f"expected one of column, file and pattern, found {' and '.join(given) or 'none'}"
        raise refusal("wrong-value", sentence, 'write one of them: {pattern: "^(.*)_frame"}')
