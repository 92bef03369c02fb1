"""The records that the writers of artefacts leave, as they may be when they are read again."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

__all__ = ["require_record"]

Count = Annotated[int, Field(ge=0)]
Hex = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Code = Annotated[str, StringConstraints(pattern="^[0-9]{1,9}$")]
Name = Annotated[str, StringConstraints(pattern="^[a-z_]+$")]
ChunkFile = Annotated[str, StringConstraints(pattern="^([a-z_]+/){0,2}(c(/[0-9]+)+|chunks)$")]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    kind: str
    format: str
    digest: Hex
    images: Annotated[int, Field(ge=1)]
    files: dict[ChunkFile, Count]
    layout: dict[Name, int | bool]


class _ImagesRecord(_Record):
    length: Count
    texts: dict[Name, Count]
    statuses: dict[Code, Count]
    failed: dict[Code, Count]
    sources: dict[Code, Count]
    licences: dict[Code, Count]
    first: Hex
    last: Hex


class _LabelsRecord(_Record):
    chunks: dict[ChunkFile, Annotated[list[Count], Field(min_length=2, max_length=2)]]
    widths: dict[Name, Count]
    tally: list[Annotated[list[int], Field(min_length=4, max_length=4)]]
    kept: dict[Annotated[str, StringConstraints(pattern="^-?[0-9]$")], Count]


RECORDS: dict[str, type[_Record]] = {"images": _ImagesRecord, "labels": _LabelsRecord}


def require_record(record: dict[str, Any], kind: str) -> None:
    """Raises `ValueError` if a record does not have the keys, types and ranges of an artefact of this kind."""
    try:
        RECORDS[kind].model_validate(record)
    except ValidationError as error:
        raise ValueError(str(error)) from error
