"""The attributes of a dataset: their types and ranges, for those who write them and those who read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

__all__ = ["root_flaws", "split_flaws"]

SHOWN = 20  # problems at most
LONG = 60  # characters of a value that are shown
TABLES = ("rules", "sources", "licences", "statuses", "methods", "fates", "relations")
RESERVED = ("categories", "mappings", "pairs", "copies")
PINNED = ConfigDict(strict=True, extra="forbid")
OPEN = ConfigDict(strict=True, extra="allow")

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, lt=1 << 40)]
Text = Annotated[str, StringConstraints(max_length=1 << 20)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Counts = dict[Text, Count]


def _all_tables(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    missing = [name for name in TABLES if name not in tables]
    if missing:
        raise PydanticCustomError("incomplete", "there is no {names}", {"names": ", ".join(missing)})
    return tables


def _plain_name(name: str) -> str:
    if name in RESERVED:
        raise PydanticCustomError("reserved", "a split cannot have the name of a table")
    if name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
        raise PydanticCustomError("path", "a split has a plain name")
    return name


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated", "a split is named twice")
    return names


SplitName = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_plain_name)]


class _States(TypedDict):
    __pydantic_config__ = PINNED  # type: ignore[misc]
    present: Count
    absent: Count


class _Labels(_States):
    rules: dict[Text, _States]
    sources: dict[Text, _States]


class _Counted(TypedDict):
    __pydantic_config__ = PINNED  # type: ignore[misc]
    images: Count
    labels: _Labels


class _SplitCounts(TypedDict):
    __pydantic_config__ = PINNED  # type: ignore[misc]
    shards: Count
    images: Count
    bytes: Count
    statuses: Counts
    failed: Counts
    sources: Counts
    labels: _Labels
    contradictions: Counts
    counted: _Counted


class _Layout(TypedDict):
    __pydantic_config__ = PINNED  # type: ignore[misc]
    images_per_shard: Size
    chunk_bytes: Size
    shard_bytes: Size
    source_digest: bool


class _Annotation(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    positives: Text
    negatives: Text
    machine_levels: Annotated[int, Field(ge=0, lt=1 << 31)] | Text
    implied_confidence: Text
    add_to: list[Text]


class _WordNet(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    release: Text
    digest: Text


class _Own(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    categories: Count
    digest: Text


class _Source(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    type: Text
    digest: Text
    lists: list[Text]
    passed_over: NotRequired[Counts]
    noted: NotRequired[Counts]
    left_out: NotRequired[Counts]


class _Copies(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    exact: Text
    basis: Text
    groups: Count
    images: Count
    other_labels: NotRequired[Count]
    across_splits: NotRequired[Count]
    across_sources: NotRequired[Count]
    contradictions: NotRequired[Count]


class _Groups(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    by: dict[Text, Text]
    groups: Count
    images: Count
    images_without: Count
    digest: Text


class _Root(TypedDict):
    """What a writer adds is checked if it is there, and what mlimg does not know is left as it is."""

    __pydantic_config__ = OPEN  # type: ignore[misc]
    format: Text
    digest: Digest
    attributes_digest: Digest
    layout: _Layout
    tables: Annotated[dict[Text, list[Text]], AfterValidator(_all_tables)]
    splits: Annotated[list[SplitName], AfterValidator(_each_once)]
    counts: dict[Text, _SplitCounts]
    name: NotRequired[Text]
    version: NotRequired[Text]
    fraction: NotRequired[Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]]
    plan: NotRequired[Text]
    mlimg_version: NotRequired[Text]
    spec: NotRequired[str]
    spec_file: NotRequired[Text]
    spec_digest: NotRequired[Text]
    wordnet: NotRequired[_WordNet]
    own: NotRequired[_Own]
    sources: NotRequired[dict[Text, _Source]]
    images_without_label: NotRequired[Count]
    left_out: NotRequired[Counts]
    pairs_left_out: NotRequired[Counts]
    labels_below_confidence: NotRequired[Count]
    annotation: NotRequired[_Annotation]
    contradictions: NotRequired[Count]
    groups: NotRequired[_Groups]
    copies: NotRequired[_Copies]


class _Split(TypedDict):
    __pydantic_config__ = OPEN  # type: ignore[misc]
    images: Count
    images_per_shard: Size
    shards: Count


ROOT, SPLIT = TypeAdapter(_Root), TypeAdapter(_Split)


def root_flaws(attributes: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the attributes of a dataset's root, a line each."""
    return _flaws(ROOT, attributes)


def split_flaws(attributes: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the attributes of a split, a line each."""
    return _flaws(SPLIT, attributes)


def _flaws(schema: TypeAdapter[Any], attributes: Mapping[str, Any]) -> list[str]:
    try:
        schema.validate_python(attributes)
    except ValidationError as error:
        found = error.errors(include_url=False)
        told = [_flaw(one) for one in found[:SHOWN]]
        return told if len(found) <= SHOWN else [*told, f"{len(found) - SHOWN:,} more flaws"]
    return []


def _flaw(error: Mapping[str, Any]) -> str:
    """Return what is wrong with an attribute, in one line: its place, its value and what is expected."""
    place, given = ".".join(map(str, error["loc"]))[:200], repr(error["input"])
    if error["type"] == "missing":
        return f"{place} is missing"
    shown = given if len(given) <= LONG else f"{given[: LONG - 1]}…"
    return f"{place} is {shown}: {error['msg'].removeprefix('Input ')}"
