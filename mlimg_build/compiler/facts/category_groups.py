"""The groups that a source puts its categories into, such as COCO's supercategories: evidence for what names mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.labels import Named
from mlimg_build.labels.mapping.name_kinds import name_kind

__all__ = ["Groups", "groups_of"]

GROUP = "group of categories: "  # begins the id of a group that is no category


@dataclass(frozen=True, slots=True)
class Groups:
    """What is above the categories of a source: (source, id) -> ids; and the names of what is no category itself."""

    parents: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    named: list[Named] = field(default_factory=list)


def groups_of(catalog: Catalog, used: Iterable[Named]) -> Groups:
    """Return the groups of a catalog's categories; a group that is called as a category is that category.

    A group adds to `named` unless its category is `used` already: names are looked up together, and what is above a
    name helps to tell its senses apart.
    """
    found = Groups()
    own = {_folded(category.name): category.id for category in catalog.categories if category.name}
    known = {named.id for named in used if named.source == catalog.name}
    for category in catalog.categories:
        group = category.group
        if not group or name_kind(group) or _folded(group) == _folded(category.name):
            continue
        key = own.get(_folded(group), f"{GROUP}{_folded(group)}")
        found.parents[catalog.name, category.id] = (key,)
        if key not in known:
            known.add(key)
            found.named.append(Named(catalog.name, key, group, None))
    return found


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
