"""What a source puts its categories below, COCO's supercategories or a hierarchy: evidence for what names mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.labels import Decision, Named
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.labels.mapping.source_relations import above
from mlimg_build.sources import Category, Nesting
from mlimg_build.wordnet import NounGraph

__all__ = ["Groups", "NestingUse", "groups_of", "nested_groups", "nesting_use"]

GROUP = "group of categories: "  # begins the id of a group that is no category


@dataclass(frozen=True, slots=True)
class Groups:
    """What is above the categories of a source: (source, id) -> ids; and the names of what is no category itself."""

    parents: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)
    named: list[Named] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NestingUse:
    """How much a hierarchy tells of the categories of its source.

    `helped` counts those of `categories` with something above them that has a synset and is not the top of WordNet;
    `nodes` counts those of the hierarchy, `nameless` the ones that neither the class descriptions nor it name.
    """

    categories: int
    helped: int
    nodes: int
    nameless: int


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


def nested_groups(
    catalog: Catalog, nesting: Nesting, used: Iterable[Named], wnid_of: Callable[[Category], str | None]
) -> Groups:
    """Return what is above the categories of a catalog that are `used`, in a hierarchy.

    What is above a used category adds to `named` unless it is used itself: a class that no statement names, with its
    `wnid_of`, or a node that is no class. One whose name is none (a number, a word for a missing value) does not.
    """
    own = {category.id: category for category in catalog.categories}
    parents: dict[tuple[str, str], Sequence[str]] = {
        (catalog.name, key): nodes for key, nodes in nesting.parents.items()
    }
    known = {named.id for named in used if named.source == catalog.name}
    found = Groups(parents)
    for key in sorted({node for one in known for node, _ in above(catalog.name, one, parents)} - known):
        if key in own:
            found.named.append(Named(catalog.name, key, own[key].name, wnid_of(own[key])))
        elif not name_kind(nesting.named[key]):
            found.named.append(Named(catalog.name, key, nesting.named[key]))
    return found


def nesting_use(
    nesting: Nesting, source: str, used: Collection[str], decided: Iterable[Decision], graph: NounGraph
) -> NestingUse:
    """Return how much a hierarchy tells of the categories `used` of a source, after all names are `decided`."""
    parents: Mapping[tuple[str, str], Sequence[str]] = {
        (source, key): nodes for key, nodes in nesting.parents.items()
    }
    telling = {
        one.id
        for one in decided
        if one.source == source and one.wnid is not None and graph.ancestors(one.wnid)
    }
    helped = sum(any(node in telling for node, _ in above(source, key, parents)) for key in used)
    return NestingUse(len(used), helped, nesting.nodes, nesting.nameless)


def _folded(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").split())
