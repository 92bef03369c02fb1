"""An open dataset: attributes, tables and splits; safe under threads, forks and pickling."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mlimg_build.atomic import is_temporary
from mlimg_build.dataset.format.layout import CATEGORY_COLUMNS, FORMAT, MAPPING_COLUMNS, PAIR_COLUMNS, Layout
from mlimg_build.dataset.read.column_reader import read_array
from mlimg_build.dataset.read.copy_groups import CopyGroups
from mlimg_build.dataset.read.records import Categories, Image, Mappings, Pair
from mlimg_build.dataset.read.split import Split, unknown_image
from mlimg_build.errors import DatasetError, Problem

__all__ = ["Dataset", "open_dataset"]


def open_dataset(path: str | Path) -> Dataset:
    """Open the dataset at `path` for reading; nothing but the attributes of its root and its splits is read yet.

    Raises:
        DatasetError: `dataset-missing`, `dataset-incomplete` (a directory that was still being written),
            `not-a-dataset`, `format-unsupported`, or `dataset-unreadable`.
    """
    return Dataset(Path(path))


class Dataset:
    """A dataset by split name: `dataset["train"]`, `dataset.train`; also a context manager.

    It can be shared by threads, inherited by a fork, and pickled (unpickling opens the same path).
    """

    copies: CopyGroups
    """The images with the same bytes, group by group, the counted one first."""

    def __init__(self, path: Path, expected_digest: str | None = None) -> None:
        self.path = path.absolute()
        self._mark = _mark(self.path)
        self.attributes: dict[str, Any] = _read_root(self.path)
        self.digest: str = self.attributes["digest"]
        if expected_digest not in (None, self.digest):
            raise _replaced(self.path)
        self.tables: dict[str, list[str]] = self.attributes["tables"]
        try:
            self.layout = Layout(**self.attributes["layout"])
            self.splits: dict[str, Split] = {
                name: Split(self, name, _group_attributes(self.path / name))
                for name in self.attributes["splits"]
            }
        except (FileNotFoundError, KeyError, TypeError) as error:
            message = f"the attributes of {path} cannot be understood: {error!r}"
            hint = "fetch or build the dataset again"
            raise DatasetError(Problem("dataset-unreadable", message, hint=hint)) from error
        self.copies = CopyGroups(self.path / "copies", list(self.splits), self.sources, self.check)
        self._closed = False

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            hint = f"choose one of: {', '.join(self.splits)}"
            raise DatasetError(Problem("split-unknown", f"{self.path} has no split {split!r}", hint=hint))
        return self.splits[split]

    @property
    def train(self) -> Split:
        """The split `train`."""
        return self["train"]

    @property
    def validation(self) -> Split:
        """The split `validation`."""
        return self["validation"]

    @property
    def sources(self) -> list[str]:
        """The names of the sources, by code."""
        return self.tables.get("sources", [])

    @property
    def rules(self) -> list[str]:
        """The names of the rules, by code."""
        return self.tables.get("rules", [])

    @cached_property
    def categories(self) -> Categories:
        """The categories, read once."""
        self.check()
        return Categories({c.name: read_array(self.path / "categories" / c.name) for c in CATEGORY_COLUMNS})

    @cached_property
    def mappings(self) -> Mappings:
        """The source categories and their mappings, read once."""
        self.check()
        arrays = {c.name: read_array(self.path / "mappings" / c.name) for c in MAPPING_COLUMNS}
        return Mappings(arrays, self.tables)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of categories that added labels, by antecedent and consequent; read once."""
        self.check()
        columns = [read_array(self.path / "pairs" / c.name).tolist() for c in PAIR_COLUMNS]
        return tuple(Pair(*row) for row in zip(*columns, strict=True))

    def find(self, image_id: str) -> Image:
        """Return the image with this id, whichever split it is in.

        Raises:
            DatasetError: `image-unknown` if no split has it.
        """
        for split in self.splits.values():
            row = split.search(image_id)
            if row is not None:
                return split[row]
        raise unknown_image(image_id, str(self.path))

    def check(self) -> None:
        """Raises `DatasetError` if the dataset was closed, or if another one is at its path now."""
        if self._closed:
            raise DatasetError(Problem("dataset-closed", f"{self.path} was closed", hint="open it again"))
        if _mark(self.path) != self._mark:
            raise _replaced(self.path)

    def close(self) -> None:
        """Close the files and free the memory; reading raises `dataset-closed` afterwards."""
        self._closed = True
        for split in self.splits.values():
            split.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[[Path, str], Dataset], tuple[Path, str]]:
        return Dataset, (self.path, self.digest)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name}: {len(split)} images" for name, split in self.splits.items())
        return f"Dataset({str(self.path)!r}, {parts})"


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        state = (path / "zarr.json").stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns


def _read_root(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise DatasetError(
            Problem("dataset-missing", f"there is no {path}", hint="check the path, or build it")
        )
    if is_temporary(path) or (not (path / "zarr.json").exists() and (path / "categories").exists()):
        hint = "run the build again, which finishes it"
        raise DatasetError(Problem("dataset-incomplete", f"{path} was not written to its end", hint=hint))
    try:
        attributes = _group_attributes(path)
    except (FileNotFoundError, NotADirectoryError):
        raise _no_dataset(path) from None
    found = attributes.get("format")
    if not isinstance(found, str) or not found.startswith("mlimg-dataset/"):
        raise _no_dataset(path)
    if found != FORMAT:
        message = f"{path} has the format {found}, and this version reads {FORMAT}"
        hint = "build the dataset again, or use the version of mlimg that wrote it"
        raise DatasetError(Problem("format-unsupported", message, hint=hint))
    missing = [name for name in ("digest", "tables", "layout", "splits") if name not in attributes]
    early = "id_bytes" in attributes.get("layout", {})  # text columns had fixed widths then
    for split in attributes.get("splits", []):
        early |= (path / split / "shards").exists() and not (path / split / "shards" / "first_image").exists()
    if early:
        message = f"{path} has the format {found} as it was before its release"
        hint = "build the dataset again, or use the version of mlimg that wrote it"
        raise DatasetError(Problem("format-unsupported", message, hint=hint))
    if missing:
        message = f"the attributes of {path} lack {', '.join(missing)}"
        raise DatasetError(Problem("dataset-unreadable", message, hint="fetch or build the dataset again"))
    return attributes


def _group_attributes(group: Path) -> dict[str, Any]:
    try:
        attributes = json.loads((group / "zarr.json").read_bytes())["attributes"]
    except (ValueError, KeyError, TypeError) as error:
        message = f"{group / 'zarr.json'} cannot be read: {error}"
        raise DatasetError(Problem("dataset-unreadable", message, hint="run `mlimg verify`")) from error
    return dict(attributes)


def _no_dataset(path: Path) -> DatasetError:
    hint = "give the path of a NAME.zarr directory that `mlimg build` made"
    return DatasetError(Problem("not-a-dataset", f"{path} is not an mlimg dataset", hint=hint))


def _replaced(path: Path) -> DatasetError:
    message = f"{path} was replaced after it was opened"
    return DatasetError(Problem("dataset-replaced", message, hint="open it again"))
