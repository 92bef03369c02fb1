"""Replace the names that a spec writes for ids of categories by the ids, before it is checked and digested."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlimg_build.category_ids import OWN, folded_id, is_own, is_slug, loose_name, slug_of
from mlimg_build.errors import LISTED, WordNetError
from mlimg_build.spec.document import Document
from mlimg_build.spec.document import Path as Where
from mlimg_build.spec.variables import substitute

if TYPE_CHECKING:
    from mlimg_build.wordnet import NounGraph

__all__ = ["resolve_names"]

LISTS = ("include", "collapse", "exclude", "exclude_below")
"""The fields of `vocabulary` that hold a list of ids; `join` has them as keys, too, `own` in `below`."""

NO_NAME = re.compile(r"\s*|[nN]?[0-9]+|own:.*|.*\$\{.*|.*[\r\n].*", re.DOTALL)
"""Texts that are left as they are: ids and what was meant to be one, ids of a spec's own, variables."""


def resolve_names(document: Document, directory: Path, variables: Mapping[str, str]) -> None:
    """Replace every name by its id, in keys too; what has no id or several is a problem of the document.

    So a spec has the same digest whether it says `Labrador retriever` or `n02099712`. The spec's own categories come
    first, as they do for the names of sources. WordNet is loaded only if there is another name: the release that the
    spec itself asks for. The ids of a flat vocabulary are known only once its sources are read.
    """
    vocabulary = document.data.get("vocabulary")
    if not isinstance(vocabulary, dict):
        return
    own, named = _own_ids(vocabulary.get("own")), []
    for holder, key, where in [*_names(vocabulary)]:
        text = str(where[-1] if holder is None else holder[key])
        wnid = own.get(loose_name(text))
        if vocabulary.get("kind") == "flat":
            _refuse_flat(document, text, where)
        elif wnid is None or wnid == _declared(where):
            named.append((holder, key, where))
        else:
            _put(document, vocabulary, (holder, key, where), wnid)
    if not named:
        return
    try:
        graph = _graph(document.data.get("wordnet"), directory, variables)
    except WordNetError as error:
        document.faulty |= {where for _, _, where in named}
        _refuse(document, error, ("wordnet", "path"))
        return
    for holder, key, where in named:
        if len(document.problems) >= LISTED:  # the nouns near to a name take a millisecond
            document.faulty.add(where)
            document.unlisted += 1
            continue
        try:
            wnid = _synset(graph, where[-1] if holder is None else holder[key])
        except WordNetError as error:
            _refuse(document, error, where)
            continue
        _put(document, vocabulary, (holder, key, where), wnid)


def _own_ids(own: object) -> dict[str, str]:
    """Return the id of each own category that the spec itself declares, by its slug and its name."""
    found: dict[str, str] = {}
    for slug, part in own.items() if isinstance(own, dict) else ():
        if is_own(slug) or is_slug(slug):
            wnid = folded_id(slug if is_own(slug) else f"{OWN}{slug}")
            name = part.get("name") if isinstance(part, dict) else None
            for text in (wnid.removeprefix(OWN), *([name] if isinstance(name, str) else [])):
                found.setdefault(loose_name(text), wnid)
    return found


def _declared(where: Where) -> str | None:
    """Return the id of the own category that a path leads into: `dog` may lie below the noun dog."""
    if where[:2] != ("vocabulary", "own"):
        return None
    slug = str(where[2])
    return folded_id(slug if is_own(slug) else f"{OWN}{slug}")


def _put(document: Document, vocabulary: dict[str, Any], named: tuple[Any, Any, Where], wnid: str) -> None:
    """Write the id in the place of a name."""
    holder, key, where = named
    if holder is not None:
        holder[key] = wnid
    else:
        _rename(document, vocabulary, where, wnid)


def _refuse_flat(document: Document, text: str, where: Where) -> None:
    document.faulty.add(where)
    message = f"{text[:60]!r} is no id, and the categories of a flat vocabulary are named by their ids"
    hint = f"write {OWN}{slug_of(text)}; `mlimg plan` shows the ids"
    document.add_problem("bad-wnid", message, partial(document.key_place, where), hint)


def _names(vocabulary: dict[str, Any]) -> Iterator[tuple[Any, Any, Where]]:
    """Yield each name that stands for an id: what holds it, at which key, and its path in the document.

    A key of `join` is held by None; it comes after the ids of its list.
    """
    for field in LISTS:
        given = vocabulary.get(field)
        for i, text in enumerate(given if isinstance(given, list) else ()):
            if _is_name(text):
                yield given, i, ("vocabulary", field, i)
    own = vocabulary.get("own")
    for slug, part in own.items() if isinstance(own, dict) else ():
        below = part.get("below") if isinstance(part, dict) else None
        if _is_name(below):
            yield part, "below", ("vocabulary", "own", slug, "below")
        for i, text in enumerate(below if isinstance(below, list) else ()):
            if _is_name(text):
                yield below, i, ("vocabulary", "own", slug, "below", i)
    join = vocabulary.get("join")
    for into, olds in join.items() if isinstance(join, dict) else ():
        for i, text in enumerate(olds if isinstance(olds, list) else ()):
            if _is_name(text):
                yield olds, i, ("vocabulary", "join", into, i)
        if _is_name(into):
            yield None, None, ("vocabulary", "join", into)


def _is_name(text: object) -> bool:
    return isinstance(text, str) and NO_NAME.fullmatch(text) is None


def _graph(part: object, directory: Path, variables: Mapping[str, str]) -> NounGraph:
    from mlimg_build.wordnet import load  # noqa: PLC0415  most specs write ids, and need no numpy

    path = part.get("path") if isinstance(part, dict) else None
    return load(directory / substitute(path, variables)[0]) if isinstance(path, str) else load()


def _synset(graph: NounGraph, text: object) -> str:
    from mlimg_build.wordnet.noun_names import synset_of  # noqa: PLC0415  see above

    return synset_of(graph, str(text))


def _refuse(document: Document, error: WordNetError, where: Where) -> None:
    document.faulty.add(where)
    for problem in error.problems:
        place = partial(document.key_place, where)
        document.add_problem(problem.code, problem.message, place, problem.hint or "")


def _rename(document: Document, vocabulary: dict[str, Any], where: Where, wnid: str) -> None:
    """Write the id for a key of `join`, and keep its place and those of what is below it."""
    join, name = vocabulary["join"], where[-1]
    if wnid in join:
        document.faulty.add(where)
        message = f"{name} is {wnid}, which is a key already"
        document.add_problem(
            "bad-join", message, partial(document.key_place, where), "put both lists into one"
        )
        return
    vocabulary["join"] = {wnid if key == name else key: olds for key, olds in join.items()}
    for places in (document.keys, document.values, document.written):
        _move(places, where, (*where[:-1], wnid))
    document.faulty |= {(*where[:-1], wnid, *path[3:]) for path in document.faulty if path[:3] == where}


def _move(places: dict[Where, Any], old: Where, new: Where) -> None:
    for path in [path for path in places if path[: len(old)] == old]:
        places[(*new, *path[len(old) :])] = places.pop(path)
