"""The part of a spec that says which category implies which."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mlimg_build.spec.field_types import File, Flag, OptionalFile, Part, tag_of

__all__ = ["Hierarchy", "Nearest", "Relations", "Tree"]

WORD_TAG, OTHER_TAG, RULE_TAG = tag_of("word"), tag_of("other"), tag_of("rule")


def _word_rule_or_tree(value: Any) -> str:
    if isinstance(value, Nearest) or (isinstance(value, dict) and "rule" in value):
        return RULE_TAG
    return OTHER_TAG if isinstance(value, dict | Part) else WORD_TAG


class Relations(Part):
    """Which relations of WordNet make a category imply another."""

    hypernym: Literal["all", "none"] = Field(default="all", description="a kind of: dog → canine")
    instance_hypernym: Literal["all", "none"] = Field(
        default="all", description="an instance of: Danube → river"
    )
    part_holonym: OptionalFile = Field(
        default=None, description="a part of: CSV of the pairs part,whole that are allowed; none without it"
    )


class Tree(Part):
    """A hierarchy from a file."""

    tree: File = Field(description="file with one parent a category, as in the published dictionary")


class Nearest(Part):
    """A tree made by rule."""

    rule: Literal["nearest"] = Field(
        description="one parent a category: the nearest of WordNet's ancestors, by hops, then by name"
    )
    collapse_only_leaf: Flag = Field(
        default=False,
        description="whether a leaf that is an only child hangs from its grandparent, as in published ML-Images",
    )


class Hierarchy(Part):
    """Which category implies which."""

    relations: Relations = Field(default_factory=Relations, description="relations of WordNet that imply")
    parents: Annotated[
        Annotated[Literal["all", "nearest"], Tag(WORD_TAG)]
        | Annotated[Nearest, Tag(RULE_TAG)]
        | Annotated[Tree, Tag(OTHER_TAG)],
        Discriminator(_word_rule_or_tree),
    ] = Field(
        default="all",
        description="all parents that WordNet has; one a category: nearest, {rule: nearest, …} or {tree: FILE}",
    )
