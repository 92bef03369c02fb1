"""A source as a spec would declare it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Layout", "slug"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A source as a spec would declare it: its name, its keys with their values, and remarks for the reader."""

    name: str
    keys: Mapping[str, Any]
    remarks: tuple[str, ...] = field(default=())


def slug(name: str) -> str:
    """Return a name of a source.

    >>> slug("My Photos (2)"), slug("???")
    ('my-photos-2', 'source')
    """
    kept = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._") else " "
        for letter in name.lower()
    )
    return "-".join(kept.split()).strip("._-")[:60] or "source"
