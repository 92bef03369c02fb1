"""Categories that a spec adds to WordNet's nouns."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from mlimg_build.spec.field_types import Kind, OnePath, OwnSlug, Part, Wnid, tag_of

__all__ = ["OwnCategories", "OwnCategory"]

MAPPING_TAG, FILE_TAG = tag_of("mapping"), tag_of("file")


def _one_or_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _mapping_or_file(value: Any) -> str:
    return MAPPING_TAG if isinstance(value, dict | tuple | list) else FILE_TAG


WNID_SCHEMA = {"type": "string"}


class OwnCategory(Part):
    """A category that a spec adds."""

    name: str | None = Field(
        default=None,
        min_length=1,
        description="what sources and people call it; its SLUG, with spaces for _, without it",
    )
    below: Annotated[
        tuple[Wnid, ...],
        BeforeValidator(_one_or_several),
        WithJsonSchema({"anyOf": [WNID_SCHEMA, {"type": "array", "items": WNID_SCHEMA}]}),
    ] = Field(
        default=(),
        description="what it is a kind of: a WordNet id or an own category's, or a list of them; nothing without it",
    )


OwnCategories = Annotated[
    Annotated[dict[OwnSlug, OwnCategory], Tag(MAPPING_TAG)] | Annotated[OnePath, Tag(FILE_TAG)],
    Discriminator(_mapping_or_file),
    Kind("file"),
]
"""The own categories by their slugs, or a CSV of them."""
