"""What came of images at URLs, as a dataset keeps it, in the shape in which the page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Coverage", "CoverageRow", "SourceRow", "StateRow", "coverage_of"]


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A domain, a year or a category: its images at URLs, and those whose bytes came."""

    name: str
    images: int
    came: int
    wnid: str = ""

    @property
    def lost(self) -> int:
        """The images that did not come."""
        return self.images - self.came


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source: its images at URLs, and (status, count) of those, the most first."""

    name: str
    images: int
    states: tuple[tuple[str, int], ...]

    @property
    def came(self) -> int:
        """The images whose bytes came."""
        return dict(self.states).get("ok", 0)


@dataclass(frozen=True, slots=True)
class StateRow:
    """A status of images at URLs, what it means, and how many have it."""

    status: str
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """What came of images at URLs; `domains` are the largest of `domains_in_all`."""

    sources: tuple[SourceRow, ...]
    states: tuple[StateRow, ...]
    categories: tuple[CoverageRow, ...]
    domains: tuple[CoverageRow, ...]
    domains_in_all: int
    years: tuple[CoverageRow, ...]

    @property
    def images(self) -> int:
        """The images at URLs."""
        return sum(one.images for one in self.sources)

    @property
    def came(self) -> int:
        """The images whose bytes came."""
        return sum(one.came for one in self.sources)


def coverage_of(attributes: Mapping[str, Any], meanings: Mapping[str, str]) -> Coverage | None:
    """Return the coverage that a dataset keeps in its attributes, None if none of its images lies at a URL."""
    kept = attributes.get("coverage")
    if not kept:
        return None
    sources = tuple(
        SourceRow(str(name), sum(states.values()), tuple(states.items()))
        for name, states in kept["sources"].items()
    )
    total: dict[str, int] = {}
    for source in sources:
        for status, count in source.states:
            total[status] = total.get(status, 0) + count
    ordered = sorted(total.items(), key=lambda item: (item[0] != "ok", -item[1], item[0]))
    return Coverage(
        sources=sources,
        states=tuple(StateRow(status, meanings.get(status, ""), count) for status, count in ordered),
        categories=tuple(
            CoverageRow(str(name), images, images - lost, str(wnid))
            for wnid, name, images, lost in kept["categories"]
        ),
        domains=tuple(CoverageRow(str(name), images, came) for name, images, came in kept["domains"]),
        domains_in_all=int(kept["domains_in_all"]),
        years=tuple(CoverageRow(str(name), images, came) for name, images, came in kept["years"]),
    )
