"""The columns of a table source: where its image, labels and rights stand, and what the cells of categories mean."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from mlimg_build.spec.field_types import Part, distinct, refusal, tag_of
from mlimg_build.spec.yaml.scalars import shown

__all__ = ["AllBut", "CellMeaning", "CellValues", "Columns", "cell_key", "require_meanings"]

NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
LONGEST = 25  # characters of a number: so many digits are compared exactly
ONE_TAG, LIST_TAG, REST_TAG = tag_of("one"), tag_of("list"), tag_of("rest")
WORD_TAG, MAPPING_TAG = tag_of("word"), tag_of("mapping")
VALUES_LINE = "values: {1: present, 0: absent, -1: unknown}"

Name = Annotated[str, Field(min_length=1)]
CellMeaning = Literal["present", "absent", "unknown"]


def cell_key(text: str) -> str:
    """Return the form in which cells and the keys of `values` are compared: case and the spelling of numbers apart.

    >>> [cell_key(text) for text in (" TRUE ", "1.0", "+1", "-1.00", "-0", "0.99999999999999999999999999", "")]
    ['true', '1', '1', '-1', '0', '0.99999999999999999999999999', '']
    """
    text = text.strip().casefold()
    if len(text) > LONGEST or NUMBER.fullmatch(text) is None:
        return text
    number = Decimal(text).normalize()
    return f"{number:f}" if number else "0"


def _label_tag(value: Any) -> str:
    if isinstance(value, tuple | list):
        return LIST_TAG
    return REST_TAG if isinstance(value, dict | AllBut) else ONE_TAG


def _value_tag(value: Any) -> str:
    return MAPPING_TAG if isinstance(value, dict) else WORD_TAG


class AllBut(Part):
    """The columns of categories: all that a table has, except some."""

    all_but: tuple[Name, ...] = Field(
        description="columns that are no category; those that the spec names elsewhere (image, split, licence, "
        "author, source, group) are left out anyway"
    )

    @field_validator("all_but")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        distinct(names, "all_but")
        return names


class Columns(Part):
    """Names of a table's columns."""

    image: str = Field(
        default="image", min_length=1, description="column of the image's path, below `images`"
    )
    labels: Annotated[
        Annotated[Name, Tag(ONE_TAG)]
        | Annotated[tuple[Name, ...], Field(min_length=1), Tag(LIST_TAG)]
        | Annotated[AllBut, Tag(REST_TAG)],
        Discriminator(_label_tag),
    ] = Field(
        default="labels",
        description="column of the image's categories; or a list of columns, each of one category, its header; or "
        "{all_but: [COLUMN, …]}, all columns but these. `values` says what their cells mean",
    )
    confidence: str | None = Field(
        default=None, min_length=1, description="column of the labels' confidences, 0 to 1"
    )
    source: str | None = Field(
        default=None, min_length=1, description="column of who said a label: see `people`"
    )
    split: str | None = Field(
        default=None,
        min_length=1,
        description="column of the image's split; `splits` says where a value goes that is not train, val or the like",
    )
    licence: str | None = Field(default=None, min_length=1, description="column of the image's licence")
    author: str | None = Field(default=None, min_length=1, description="column of the image's author")

    @property
    def beside(self) -> dict[str, str]:
        """The columns of one value a row by what they hold: image, source, split, licence, author."""
        given = {key: getattr(self, key) for key in ("image", "source", "split", "licence", "author")}
        return {key: name for key, name in given.items() if name is not None}

    @field_validator("labels")
    @classmethod
    def _listed_once(cls, labels: Any) -> Any:
        if isinstance(labels, tuple):
            distinct(labels, "labels")
        return labels

    @model_validator(mode="after")
    def _categories_are_columns_of_their_own(self) -> Columns:
        if isinstance(self.labels, str):
            return self
        if self.confidence is not None:
            hint = "leave it out; where the cells of the categories are confidences, write `values: scores`"
            sentence = (
                "a column of confidences belongs to one column of labels, and each category has its own"
            )
            raise refusal("wrong-value", sentence, hint, at=("confidence",))
        if isinstance(self.labels, tuple):
            held = {name: key for key, name in self.beside.items()}
            for i, name in enumerate(self.labels):
                if name in held:
                    sentence = f"{shown(name)} is the column of the {held[name]}, and no category"
                    hint = "remove it from the list, or name the other column"
                    raise refusal("wrong-value", sentence, hint, at=("labels", i))
        return self


CellValues = Annotated[
    Annotated[Literal["scores"], Tag(WORD_TAG)] | Annotated[dict[str, CellMeaning], Tag(MAPPING_TAG)],
    Discriminator(_value_tag),
]
"""What the cells of columns of categories mean: confidences, or a meaning of each value."""


def require_meanings(values: str | dict[str, CellMeaning] | None) -> None:
    """Raise a refusal if two keys are one value with two meanings, or nothing means present."""
    if not isinstance(values, dict):
        return
    seen: dict[str, str] = {}
    for key in values:
        if (other := seen.setdefault(cell_key(key), key)) != key:
            sentence = f"{shown(key)} and {shown(other)} are one value"
            raise refusal("wrong-value", sentence, "keep one of them", at=("values", key))
    if "present" not in values.values():
        sentence = "no value means present, and a value that is not named means nothing"
        raise refusal("wrong-value", sentence, f"name every value, such as {VALUES_LINE}", at=("values",))
