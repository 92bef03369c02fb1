"""Categories that are no nouns of WordNet: those of the key `own` of a spec's vocabulary, or of its CSV."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path

from mlimg_build.category_ids import (
    OWN,
    folded_id,
    is_own,
    is_slug,
    is_wnid,
    loose_name,
    slug_of,
)
from mlimg_build.compiler.facts.curated_files import meant, table_rows
from mlimg_build.compiler.facts.id_lists import text_of
from mlimg_build.errors import Place, Problem, SpecError, first_problems
from mlimg_build.spec import LoadedSpec
from mlimg_build.text_limits import NAME, over
from mlimg_build.wordnet import NounGraph, OwnNoun, own_cycle, with_own

__all__ = ["MOST", "with_own_categories"]

MOST = 100_000  # own categories of a spec
DEEPEST = 100  # own categories above one another
BESIDE = re.compile(r"[\s|;]+")  # what stands between several parents in a cell
CSV = "id,name,below"
CLASSES = ("folder", "label")  # the first column of a file of class names whose names are own categories


@dataclass(frozen=True, slots=True)
class _Declared:
    """An own category as a spec or its CSV declares it, with its place and those of what it lies below."""

    noun: OwnNoun
    place: Place
    below: tuple[Place, ...]


def with_own_categories(loaded: LoadedSpec, graph: NounGraph) -> NounGraph:
    """Return the graph of a spec's vocabulary: the nouns of WordNet, and the spec's own categories.

    Raises:
        SpecError: with every own category that has no id or name that can be stored, whose id or name another one has
            (`own-collision`), that lies below something that is not there (`unknown-synset`), or in a circle (`cycle`).
    """
    own = loaded.spec.vocabulary.own
    try:
        declared = [*(_from_file(own) if isinstance(own, Path) else _from_spec(loaded))]
    except SpecError as error:
        place = loaded.place("vocabulary", "own")
        raise SpecError(replace(one, place=one.place or place) for one in error.problems) from error
    if not declared:
        return graph
    if len(declared) > MOST:
        message = f"{len(declared):,} own categories, and at most {MOST:,} are read"
        raise SpecError(Problem("own-too-many", message, loaded.place("vocabulary", "own"), "declare fewer"))
    problems = first_problems([*_names(declared), *_collisions(declared), *_parents(declared, graph)])
    problems = problems or [*_order(declared)]
    if problems:
        raise SpecError(problems)
    return with_own(graph, [one.noun for one in declared])


def _from_spec(loaded: LoadedSpec) -> Iterator[_Declared]:
    own = loaded.spec.vocabulary.own
    for key, category in own.items() if isinstance(own, dict) else ():
        where = ("vocabulary", "own", key)
        slug = key[len(OWN) :] if is_own(key) else key
        written = loaded.document.data["vocabulary"]["own"][key].get("below", ())
        listed = isinstance(written, list | tuple)
        below = tuple(
            loaded.place(*where, "below", *((i,) if listed else ())) for i in range(len(category.below))
        )
        yield _Declared(_noun(slug, category.name, category.below), loaded.document.key_place(where), below)


def _from_file(path: Path) -> Iterator[_Declared]:
    """Yield the own categories of a CSV: each with an id, or, in a file of class names, each name with its slug."""
    what = "the list of own categories"
    header = text_of(path, what).split("\n", 1)[0].strip().split(",")
    if "name" in header and header[0] in CLASSES and "id" not in header:
        yield from _of_class_names(path, what)
        return
    for line, row in table_rows(path, what, CSV.split(",")):
        place = Place(str(path), line, 1)
        slug = row["id"][len(OWN) :] if row["id"][: len(OWN)].casefold() == OWN else row["id"]
        if not is_slug(slug):
            better = slug_of(slug)
            hint = "letters, digits, _ and - make an id"
            message = f"{slug[:60]!r} is not the id of an own category"
            raise SpecError(Problem("own-id", message, place, f"{hint}: {better}" if better else hint))
        below = tuple(folded_id(text) for text in BESIDE.split(row["below"]) if text)
        yield _Declared(_noun(slug, row["name"] or None, below), place, (place,) * len(below))


def _of_class_names(path: Path, what: str) -> Iterator[_Declared]:
    """Yield an own category for each name of a file that `classes` of a source names, too; an id of WordNet is none.

    Several rows of one name are one category, which lies below all that they say.
    """
    named: dict[str, _Declared] = {}
    for line, row in table_rows(path, what, ("name",), ("below",)):
        place, name = Place(str(path), line, 1), row["name"]
        if is_wnid(name):
            continue
        slug = slug_of(name)
        if not slug:
            message = f"{name[:60]!r} has no letter, and none makes no id"
            raise SpecError(Problem("own-id", message, place, "write a name, or an id of WordNet"))
        below = tuple(folded_id(text) for text in BESIDE.split(row.get("below", "")) if text)
        one = _Declared(_noun(slug, name, below), place, (place,) * len(below))
        before = named.setdefault(loose_name(name), one)
        if before is not one:
            more = [parent for parent in below if parent not in before.noun.below]
            noun = _noun(slug_of(before.noun.name), before.noun.name, (*before.noun.below, *more))
            named[loose_name(name)] = replace(
                before, noun=noun, below=(*before.below, *(place for _ in more))
            )
    yield from named.values()


def _noun(slug: str, name: str | None, below: Sequence[str]) -> OwnNoun:
    given = slug.replace("_", " ") if name is None else name
    named = unicodedata.normalize("NFC", given).strip()
    return OwnNoun(folded_id(f"{OWN}{slug}"), named, tuple(below))


def _names(declared: Iterable[_Declared]) -> Iterator[Problem]:
    """Yield the problems of names that cannot be stored and shown."""
    for one in declared:
        why = over(one.noun.name, NAME)
        if not why and any(unicodedata.category(letter) in ("Cc", "Cs") for letter in one.noun.name):
            why = "a character that is none to be shown"
        if not why and not one.noun.name:
            why = "no letter"
        if why:
            message = f"the name of {one.noun.id} has {why}"
            yield Problem("own-name", message, one.place, "write another name")


def _collisions(declared: Iterable[_Declared]) -> Iterator[Problem]:
    """Yield a problem for each own category whose id or name an earlier one has."""
    ids: dict[str, _Declared] = {}
    names: dict[str, _Declared] = {}
    for one in declared:
        if (other := ids.setdefault(one.noun.id, one)) is not one:
            message = f"{one.noun.id} is there twice: here and at {other.place}"
            hint = "upper and lower case are one id; keep one of the two"
            yield Problem("own-collision", message, one.place, hint)
            continue
        told: set[str] = set()
        for text in (one.noun.name, one.noun.id.removeprefix(OWN)):
            other = names.setdefault(loose_name(text), one)
            if other is not one and other.noun.id not in told:
                told.add(other.noun.id)
                message = f"{text[:60]!r} names {one.noun.id} and {other.noun.id}, which is at {other.place}"
                hint = "a source's category of that name could be either; give each a name of its own"
                yield Problem("own-collision", message, one.place, hint)


def _parents(declared: Sequence[_Declared], graph: NounGraph) -> Iterator[Problem]:
    there = {one.noun.id for one in declared}
    own = with_own(None, [OwnNoun(wnid, wnid) for wnid in there])  # which knows near ids
    for one in declared:
        for parent, place in zip(one.noun.below, one.below, strict=True):
            if parent not in there and parent not in graph:
                known = own if is_own(parent) else graph
                message = f"{one.noun.id} lies below {parent[:60]}, and {known.lacks(parent[:60])}"
                yield Problem("unknown-synset", message, place, meant(parent, known))


def _order(declared: Sequence[_Declared]) -> Iterator[Problem]:
    """Yield the problem of own categories that go round in a circle, or lie too deep below one another."""
    at = {one.noun.id: one for one in declared}
    if cycle := own_cycle([one.noun for one in declared]):
        message = f"own categories go round in a circle: {' → '.join(cycle)}"
        hint = "leave out one `below`; two words for one thing are `vocabulary.join`"
        yield Problem("cycle", message, at[cycle[0]].place, hint)
        return
    above = {one.noun.id: [parent for parent in one.noun.below if parent in at] for one in declared}
    depth: dict[str, int] = {}
    for wnid in TopologicalSorter(above).static_order():
        depth[wnid] = 1 + max((depth[parent] for parent in above[wnid]), default=0)
        if depth[wnid] > DEEPEST:
            message = f"{wnid} lies below {depth[wnid] - 1:,} other own categories, and at most {DEEPEST - 1} are read"
            yield Problem("own-too-deep", message, at[wnid].place, "leave out steps between")
            return
