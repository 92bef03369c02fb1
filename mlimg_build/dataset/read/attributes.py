"""The attributes of a dataset, checked as a whole when it is opened: whoever wrote them need not be trusted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from mlimg_build.atomic import is_temporary
from mlimg_build.dataset.format.attribute_schema import root_flaws, split_flaws
from mlimg_build.dataset.format.layout import FORMAT, MOST_ATTRIBUTES
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.regular_files import read_regular

__all__ = ["group_attributes", "root_attributes", "split_attributes"]

AGAIN = "fetch or build the dataset again"


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
    _refuse(root_flaws(attributes), path)
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
    _refuse(split_flaws(attributes), group)
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


def _refuse(flaws: list[str], group: Path) -> None:
    if flaws:
        file = group / "zarr.json"
        problems = [
            Problem("dataset-unreadable", f"{file} cannot be understood: {flaw}", hint=AGAIN)
            for flaw in flaws
        ]
        raise DatasetError(problems)


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
