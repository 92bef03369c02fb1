"""An open dataset: attributes, tables and splits; safe under threads, forks and pickling."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import CATEGORY_COLUMNS, MAPPING_COLUMNS, PAIR_COLUMNS, Column, Layout
from mlimg_build.dataset.read.array_files import open_array, read_column
from mlimg_build.dataset.read.attributes import root_attributes, split_attributes
from mlimg_build.dataset.read.column_checks import check_table
from mlimg_build.dataset.read.copy_groups import CopyGroups
from mlimg_build.dataset.read.records import Categories, Image, Mappings, Pair
from mlimg_build.dataset.read.split import Split, unknown_image
from mlimg_build.errors import DamagedDataset, DatasetError, NoSuchSplit, Problem

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
        self.attributes: dict[str, Any] = root_attributes(self.path)
        self.digest: str = self.attributes["digest"]
        if expected_digest not in (None, self.digest):
            raise _replaced(self.path)
        self.tables: dict[str, list[str]] = self.attributes["tables"]
        self._sizes: dict[str, int | None] = {}
        self.layout = Layout(**self.attributes["layout"])
        per_shard = self.layout.images_per_shard
        self.splits: dict[str, Split] = {
            name: Split(self, name, split_attributes(self.path / name, per_shard))
            for name in self.attributes["splits"]
        }
        sizes = {name: len(split) for name, split in self.splits.items()}
        self.copies = CopyGroups(self.path / "copies", sizes, self.sources, self.check, self.size_of)
        self._closed = False

    def __getitem__(self, split: str) -> Split:
        if split not in self.splits:
            hint = f"choose one of: {', '.join(self.splits)}"
            raise NoSuchSplit(Problem("split-unknown", f"{self.path} has no split {split!r}", hint=hint))
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
        return self.tables["sources"]

    @property
    def rules(self) -> list[str]:
        """The names of the rules, by code."""
        return self.tables["rules"]

    def attributes_of_build(self, *names: str) -> list[Any]:
        """Return attributes that `mlimg build` adds to those of every dataset, such as "annotation".

        Raises:
            DatasetError: `dataset-unreadable` if any is missing.
        """
        missing = [name for name in names if name not in self.attributes]
        if missing:
            message = f"the attributes of {self.path} lack {', '.join(missing)}"
            hint = "build the dataset with `mlimg build`"
            raise DatasetError(Problem("dataset-unreadable", message, hint=hint))
        return [self.attributes[name] for name in names]

    @cached_property
    def categories(self) -> Categories:
        """The categories, read once."""
        return Categories(self._table("categories", CATEGORY_COLUMNS))

    @cached_property
    def mappings(self) -> Mappings:
        """The source categories and their mappings, read once."""
        return Mappings(self._table("mappings", MAPPING_COLUMNS), self.tables)

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The pairs of categories that added labels, by antecedent and consequent; read once."""
        arrays = self._table("pairs", PAIR_COLUMNS)
        columns = [arrays[column.name].tolist() for column in PAIR_COLUMNS]
        return tuple(Pair(*row) for row in zip(*columns, strict=True))

    def _table(self, name: str, schema: tuple[Column, ...]) -> dict[str, NDArray[Any]]:
        self.check()
        arrays = {column.name: read_column(self.path / name / column.name, column) for column in schema}
        check_table(name, schema, arrays, self.size_of)
        return arrays

    def size_of(self, name: str) -> int | None:
        """Return how many codes or indices there are: of a table of names, splits, categories, mappings or members.

        None if it is unknown, as the array that says it cannot be opened.
        """
        if name in self.tables:
            return len(self.tables[name])
        if name not in self._sizes:
            self._sizes[name] = len(self.splits) if name == "splits" else self._rows_of(name)
        return self._sizes[name]

    def _rows_of(self, table: str) -> int | None:
        folder = {
            "categories": "categories/positives",
            "mappings": "mappings/category",
            "members": "copies/members/row",
        }
        try:
            return int(open_array(self.path / folder[table]).shape[0])
        except (DamagedDataset, IndexError):
            return None

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


def _replaced(path: Path) -> DatasetError:
    message = f"{path} was replaced after it was opened"
    return DatasetError(Problem("dataset-replaced", message, hint="open it again"))
