"""What a split asks of the dataset that it is a part of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from mlimg_build.dataset.format.layout import Layout
from mlimg_build.dataset.read.copy_groups import CopyGroups
from mlimg_build.dataset.read.records import Categories

__all__ = ["Root"]


class Root(Protocol):
    """An open dataset as its splits see it: names behind codes, categories, copies, and whether it is still open."""

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

    def check(self) -> None:
        """Raises `DatasetError` where it was closed or replaced."""

    def __getitem__(self, split: str) -> Any:
        """The split of this name."""
