"""Watchers of a build: the protocol, and one that ignores everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Silent", "Watcher"]


class Watcher(Protocol):
    """Receives the progress of a build."""

    def step(self, message: str) -> None:
        """Receive a message on what is being done."""

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        """Receive the numbers of remaining images and tasks; return a callback for each `Progress`."""


class Silent:
    """A watcher that ignores everything."""

    def step(self, message: str) -> None:
        """Do nothing."""

    def follow(self, images: int, tasks: int) -> Callable[[Any], None]:
        """Return a callback that does nothing."""
        return lambda done: None
