"""Every door by its name."""

from __future__ import annotations

from importlib.util import find_spec

from tests.fuzz.door import Door
from tests.fuzz.doors import curated, datasets, images, lists, models, specs

__all__ = ["DOORS"]

DOORS: dict[str, Door] = {
    door.name: door
    for room in (specs, lists, images, curated, datasets, models)
    for door in room.DOORS
    if all(find_spec(package) for package in door.needs)
}
"""Without those whose packages are not installed."""
