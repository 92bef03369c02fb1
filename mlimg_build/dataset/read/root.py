"""The interface of a dataset that its splits use."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from mlimg_build.dataset.format.layout import Layout
from mlimg_build.dataset.read.copy_groups import CopyGroups
from mlimg_build.dataset.read.records import Categories

__all__ = ["Root"]


class Root(Protocol):
    """An open dataset as its splits use it: names of codes, categories, copies, and a check that it is still open."""

    path: Path
    layout: Layout
    tables: dict[str, list[str]]
    copies: CopyGroups

    @property
    def categories(self) -> Categories:
        """The categories, read once."""

    @property
    def rules(self) -> list[str]:
        """The names of the rules, by code."""

    @property
    def sources(self) -> list[str]:
        """The names of the sources, by code."""

    def size_of(self, name: str) -> int | None:
        """Return how many codes or indices there are of a kind, None if that is unknown."""

    def check(self) -> None:
        """Raises `DatasetError` if it was closed or replaced."""

    def __getitem__(self, split: str) -> Any:
        """Return the split of this name."""
