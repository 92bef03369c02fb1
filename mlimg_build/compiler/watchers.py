"""Who follows a build: a protocol, and one that says nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Silent", "Watcher"]


class Watcher(Protocol):
    """Follows a build."""

    def step(self, message: str) -> None:
        """Hears what is being done."""

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        """Hears what is left, and returns what hears of each `Progress`."""


class Silent:
    """Follows a build and says nothing."""

    def step(self, message: str) -> None:
        """Says nothing."""

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        """Returns what says nothing."""
        return lambda done: None
