"""A flat vocabulary: the names of the sources' categories as they are, without WordNet."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from mlimg_build.category_ids import OWN, folded_name, marked_slug, slug_of
from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.errors import Problem, SpecError
from mlimg_build.labels.mapping.name_kinds import name_kind
from mlimg_build.spec import LoadedSpec
from mlimg_build.wordnet import NounGraph, OwnNoun, with_own

__all__ = ["flat_ids", "flat_nouns", "same_slugs"]

SHOWN = 5  # names in a warning


def flat_nouns(loaded: LoadedSpec, catalogs: Sequence[Catalog]) -> NounGraph:
    """Return the graph of a flat vocabulary: a node for each name of a source's category, and no edge.

    Names that are equal in NFC, case-folded, are one node, whichever source has them; of several spellings it has the
    first by code points. Its id is `own:` and the slug of the name: `own:with_mask`. A word for a missing value is no
    name, unless `include` names it.

    Raises:
        SpecError: `no-category` if no source has a name.
    """
    wanted = {*loaded.spec.vocabulary.include}
    spellings: dict[str, str] = {}
    for name in _flat_names(catalogs):
        key = folded_name(name)
        if key and (name_kind(name) != "no_value" or f"{OWN}{slug_of(key)}" in wanted):
            spellings[key] = min(name, spellings.get(key, name))
    if not spellings:
        message = "no source has a category with a name"
        raise SpecError(Problem("no-category", message, loaded.place("sources"), "look at the sources"))
    ids = flat_ids(spellings)
    return with_own(None, [OwnNoun(ids[key], spellings[key]) for key in spellings])


def same_slugs(loaded: LoadedSpec, graph: NounGraph) -> Iterator[Problem]:
    """Yield the warning of a flat vocabulary in which names differ in signs alone: `with mask`, `with_mask`."""
    if graph.wordnet is not None:
        return
    groups: dict[str, list[str]] = {}
    for node in graph.own:
        groups.setdefault(slug_of(node.name), []).append(f"{node.name!r} ({node.id})")
    alike = [" and ".join(group) for group in groups.values() if len(group) > 1]
    if alike:
        more = f", and {len(alike) - SHOWN:,} more" if len(alike) > SHOWN else ""
        message = (
            f"names that differ in signs alone are categories of their own: {'; '.join(alike[:SHOWN])}{more}"
        )
        hint = "`vocabulary: {join: {ID: [ID]}}` makes them one"
        yield Problem("same-slug", message, loaded.place("vocabulary", "kind"), hint, "warning")


def _flat_names(catalogs: Sequence[Catalog]) -> Iterator[str]:
    for catalog in catalogs:
        for category in catalog.categories:
            yield unicodedata.normalize("NFC", " ".join((category.name or category.id).split()))


def flat_ids(keys: Iterable[str]) -> dict[str, str]:
    """Return the id of each folded name; where several have one slug, those that are no slug themselves get a mark."""
    slugs = {key: slug_of(key) for key in keys}
    times = Counter(slugs.values())
    ids = {}
    for key, slug in slugs.items():
        marked = not slug or (times[slug] > 1 and slug != key)
        ids[key] = f"{OWN}{marked_slug(key) if marked else slug}"
    return ids
