"""The part of a spec that says what labels imply, and which of them go together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from mlimg_build.spec.field_types import Flag, Number, OptionalFile, Part, Share, Slug, Whole, tag_of

__all__ = ["Annotation", "Cooccurrence"]

WORD_TAG, OTHER_TAG = tag_of("word"), tag_of("other")


def _word_or_number(value: Any) -> str:
    number = isinstance(value, int | float) or (isinstance(value, str) and value.isdigit())
    return OTHER_TAG if number else WORD_TAG


class Cooccurrence(Part):
    """Labels added because categories go together."""

    learn_from: tuple[Slug, ...] = Field(
        min_length=1,
        description="sources whose label rows are counted: how often one category comes with another",
    )
    add_to: tuple[Slug, ...] | None = Field(
        default=None, description="sources whose images get labels; all without it"
    )
    predictions: OptionalFile = Field(
        default=None,
        description="Parquet of `mlimg predict` over images of learn_from: what a model sees there counts as present",
    )
    min_score: Share = Field(default=0.95, description="predictions of a lower score are not counted")
    min_probability: Share = Field(
        default=0.7,
        gt=0,
        description="smallest share of a category's images that have the other, at its lower bound",
    )
    confidence: Share = Field(
        default=0.95, ge=0.5, lt=1, description="confidence of that lower bound; 0.5 is the plain share"
    )
    min_images: Whole = Field(
        default=5,
        ge=1,
        description="fewest images of a category that others follow from; the bound tells more",
    )
    skip_related: Flag = Field(
        default=True,
        description="whether pairs are left out of which one implies the other, or that a third one implies",
    )
    min_content: Share = Field(
        default=0.5,
        description="a pair is doubtful whose first category has less information content in WordNet; 0 asks nothing",
    )
    max_ratio: Number = Field(
        default=5.0,
        ge=0,
        description="a pair is doubtful that would add more than so many times the labels that it was learnt from",
    )
    doubtful: Literal["drop", "use"] = Field(
        default="drop",
        description="what happens to doubtful pairs that nobody accepted; both are listed with the reason",
    )
    vetoes: OptionalFile = Field(
        default=None,
        description="CSV like the lock's cooccurrence.csv: rows with anything in the column veto are not used, "
        "doubtful ones with anything in the column accept are",
    )


class Annotation(Part):
    """What the labels imply."""

    positives: Literal["ancestors", "none"] = Field(
        default="ancestors", description="what a present category makes present: its ancestors, or nothing"
    )
    negatives: Literal["descendants", "none"] = Field(
        default="descendants", description="what a verified absence makes absent: its descendants, or nothing"
    )
    machine_levels: Annotated[
        Annotated[Literal["all"], Tag(WORD_TAG)] | Annotated[Whole, Field(ge=0), Tag(OTHER_TAG)],
        Discriminator(_word_or_number),
    ] = Field(
        default="all",
        description="levels of ancestors that a label of confidence below 1 implies: all, or a number",
    )
    implied_confidence: Literal["strongest", "first"] = Field(
        default="strongest",
        description="which of several statements gives a label its confidence; first imitates the published data",
    )
    cooccurrence: Cooccurrence | None = Field(
        default=None, description="labels added because categories go together; none without it"
    )
    conflicts: Literal["prefer_verified", "drop", "error"] = Field(
        default="prefer_verified", description="what happens to a label that is both present and absent"
    )
    unlabelled: Literal["drop", "keep"] = Field(
        default="drop", description="what happens to an image with no label left"
    )
