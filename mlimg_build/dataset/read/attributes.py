"""The attributes of a dataset, checked as a whole when it is opened: whoever wrote them need not be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError, from_json
from typing_extensions import TypedDict

from mlimg_build.atomic import is_temporary
from mlimg_build.dataset.format.layout import FORMAT, MOST_ATTRIBUTES
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.regular_files import read_regular

__all__ = ["group_attributes", "root_attributes", "split_attributes"]

SHOWN = 20  # problems at most
LONG = 60  # characters of a value that are shown
TABLES = ("rules", "sources", "licences", "statuses", "methods", "fates", "relations")
RESERVED = ("categories", "mappings", "pairs", "copies")
AGAIN = "fetch or build the dataset again"
PINNED = ConfigDict(strict=True, extra="forbid")
OPEN = ConfigDict(strict=True, extra="allow")

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
Size = Annotated[int, Field(ge=1, lt=1 << 40)]
Text = Annotated[str, StringConstraints(max_length=4096)]
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
    return name


def _each_once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("repeated", "a split is named twice")
    return names


SplitName = Annotated[
    str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"), AfterValidator(_plain_name)
]


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


def root_attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of the dataset at `path`, of the right types and within their ranges.

    Raises:
        DatasetError: `dataset-missing`, `dataset-incomplete`, `not-a-dataset`, `format-unsupported`, or
            `dataset-unreadable` with every attribute that is wrong.
    """
    if not path.exists():
        raise DatasetError(
            Problem("dataset-missing", f"there is no {path}", hint="check the path, or build it")
        )
    if is_temporary(path) or (not (path / "zarr.json").exists() and (path / "categories").exists()):
        hint = "run the build again, which finishes it"
        raise DatasetError(Problem("dataset-incomplete", f"{path} was not written to its end", hint=hint))
    try:
        attributes = group_attributes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_dataset(path) from None
    found = attributes.get("format")
    if not isinstance(found, str) or not found.startswith("mlimg-dataset/"):
        raise _no_dataset(path)
    if found != FORMAT:
        message = f"{path} has the format {found}, and this version reads {FORMAT}"
        raise _unsupported(message)
    if "id_bytes" in _names(attributes.get("layout")):  # text columns had fixed widths then
        raise _unsupported(f"{path} has the format {found} as it was before its release")
    _check(ROOT, attributes, path)
    for split in attributes["splits"]:
        shards = path / split / "shards"
        if not (shards / "first_image").exists() and shards.exists():
            raise _unsupported(f"{path} has the format {found} as it was before its release")
        if split not in attributes["counts"]:
            raise _unreadable(f"{path / 'zarr.json'} has no counts of the split {split!r}")
    return attributes


def split_attributes(group: Path, images_per_shard: int) -> dict[str, Any]:
    """Return the attributes of a split, which has shards of at most `images_per_shard` images.

    Raises:
        DatasetError: `dataset-unreadable` with every attribute that is wrong.
    """
    try:
        attributes = group_attributes(group)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _unreadable(f"there is no {group / 'zarr.json'}") from error
    _check(SPLIT, attributes, group)
    images, shards, size = (attributes[name] for name in ("images", "shards", "images_per_shard"))
    if size != images_per_shard or not -(-images // size) <= shards <= images:
        message = f"{group / 'zarr.json'} says {images:,} images in {shards:,} shards of at most {size:,}"
        raise _unreadable(f"{message}, in a dataset of at most {images_per_shard:,} images a shard")
    return attributes


def group_attributes(group: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group, as they are.

    Raises:
        FileNotFoundError, NotADirectoryError: if there is no `zarr.json`.
        DatasetError: `dataset-unreadable` if it is no regular file, too long or no metadata of a group.
    """
    try:
        found = from_json(read_regular(group / "zarr.json", MOST_ATTRIBUTES), allow_inf_nan=False)
        if not isinstance(found, dict) or not isinstance(found.get("attributes"), dict):
            raise ValueError("it holds no attributes")
        if (found.get("node_type"), found.get("zarr_format")) != ("group", 3):
            raise ValueError("it is no Zarr v3 group")
    except (FileNotFoundError, NotADirectoryError):
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _unreadable(f"{group / 'zarr.json'} cannot be read: {why}") from error
    return dict(found["attributes"])


def _check(schema: TypeAdapter[Any], attributes: Mapping[str, Any], group: Path) -> None:
    try:
        schema.validate_python(attributes)
    except ValidationError as error:
        found = error.errors(include_url=False)
        told = [f"{group / 'zarr.json'} cannot be understood: {_flaw(one)}" for one in found[:SHOWN]]
        if len(found) > SHOWN:
            told.append(f"{group / 'zarr.json'} has {len(found) - SHOWN:,} more flaws")
        problems = [Problem("dataset-unreadable", one, hint=AGAIN) for one in told]
        raise DatasetError(problems) from None


def _flaw(error: Mapping[str, Any]) -> str:
    """Return what is wrong with an attribute, in one line: its place, its value and what is expected."""
    place, given = ".".join(map(str, error["loc"]))[:200], repr(error["input"])
    if error["type"] == "missing":
        return f"{place} is missing"
    shown = given if len(given) <= LONG else f"{given[: LONG - 1]}…"
    return f"{place} is {shown}: {error['msg'].removeprefix('Input ')}"


def _names(value: object) -> Iterable[object]:
    return value if isinstance(value, dict) else ()


def _unreadable(message: str) -> DatasetError:
    return DatasetError(Problem("dataset-unreadable", message, hint=AGAIN))


def _unsupported(message: str) -> DatasetError:
    hint = "build the dataset again, or use the version of mlimg that wrote it"
    return DatasetError(Problem("format-unsupported", message, hint=hint))


def _no_dataset(path: Path) -> DatasetError:
    hint = "give the path of a NAME.zarr directory that `mlimg build` made"
    return DatasetError(Problem("not-a-dataset", f"{path} is not an mlimg dataset", hint=hint))
