"""Check a spec for all errors that can be found without reading a source, for `mlimg check`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mlimg_build.category_ids import folded_id
from mlimg_build.compiler.facts.curated_files import meant, read_reviewed
from mlimg_build.compiler.facts.id_lists import lines_of
from mlimg_build.compiler.facts.own_categories import with_own_categories
from mlimg_build.compiler.facts.unsigned_rows import corrected_in
from mlimg_build.errors import LISTED, Place, Problem, SpecError, WordNetError, first_problems, more_problems
from mlimg_build.sources.embedded.parquet_files import is_pattern
from mlimg_build.spec import LoadedSpec, file_paths
from mlimg_build.spec.path_patterns import lacking, matches
from mlimg_build.spec.paths import PathKind
from mlimg_build.spec.suggestions import did_you_mean
from mlimg_build.wordnet import NounGraph, load

__all__ = ["check_ids", "check_mapping", "load_nouns", "load_wordnet", "missing_paths"]


PATTERN = "file, folder or pattern"
RELEASE = "correct the id, or set `wordnet: {path: …}` to the release that it is of"
MAPPING = ("vocabulary", "mapping", "file")


def load_wordnet(loaded: LoadedSpec) -> NounGraph:
    """Return the WordNet release that a spec names, or else the bundled one.

    Raises:
        WordNetError: at the place in the spec, if the release cannot be loaded.
    """
    wanted = loaded.spec.wordnet
    if wanted is None:
        return load()
    try:
        return load(wanted.path)
    except WordNetError as error:
        place = loaded.place("wordnet", "path")
        raise WordNetError(replace(problem, place=place) for problem in error.problems) from error


def load_nouns(loaded: LoadedSpec) -> NounGraph | None:
    """Return the nouns and own categories of a spec's vocabulary; None for a flat one, which its sources name.

    Raises the errors of `load_wordnet`, `with_own_categories` and `check_ids`.
    """
    if loaded.spec.vocabulary.kind == "flat":
        return None
    graph = with_own_categories(loaded, load_wordnet(loaded))
    check_ids(loaded, graph)
    return graph


def check_ids(loaded: LoadedSpec, graph: NounGraph) -> None:
    """Raises `SpecError` with the ids of the spec and its lists that the release lacks, and unreadable lists."""
    unreadable: list[Problem] = []
    problems = first_problems(
        Problem("unknown-synset", graph.lacks(wnid), place, hint=meant(wnid, graph, RELEASE))
        for place, wnid in _ids(loaded, unreadable)
        if wnid not in graph
    )
    problems += unreadable
    if problems:
        raise SpecError(problems)


def check_mapping(loaded: LoadedSpec, graph: NounGraph) -> Iterator[Problem]:
    """Yield the problem of a mapping file with unsigned corrections. Raises `SpecError` if a row is wrong."""
    path = loaded.spec.vocabulary.mapping.file
    if path is not None and _is_file(path):  # else `missing_paths` reports it
        read_reviewed(path, loaded.spec.sources, graph)
        yield from corrected_in(loaded, graph)


def missing_paths(loaded: LoadedSpec, *, lenient: bool = False) -> list[Problem]:
    """Return an error for each file or folder that the spec names and that does not exist, at its place.

    Of very many, the first are returned and the number of the others. With `lenient` it is a warning if the path comes
    from a variable that is not set.
    """
    unsaid = loaded.document.defaulted
    warnings: list[Problem] = []
    errors: list[Problem] = []
    more = 0
    for place, path, kind in file_paths(loaded):
        why = _why_missing(path, kind)
        if not why:
            continue
        mild = lenient and bool({place, place[:-1]} & unsaid)
        found = warnings if mild else errors
        if len(found) == LISTED:
            more += not mild
            continue
        found.append(
            Problem(
                "path-missing",
                why,
                loaded.place(*place),
                hint=_hint(path, kind) if place != MAPPING else _mapping_hint(loaded, path),
                severity="warning" if mild else "error",
            )
        )
    return [*warnings, *errors, *([more_problems(f"{more:,}")] if more else [])]


def _why_missing(path: Path, kind: PathKind) -> str:
    """Return the words that a path, or a tar of a pattern, is not there or is of another kind; "" if not."""
    try:
        if kind == "tars":
            return lacking(path, matches(path))
        if (kind != "file" and path.is_dir()) or (kind != "folder" and path.is_file()):
            return ""
        if kind == PATTERN and is_pattern(path):  # its source says what meets it
            return ""
        return f"{kind} {f'is not a {kind}' if path.exists() else 'does not exist'}: {path}"
    except OSError as error:  # such as a name that is too long, a folder without permission
        return f"{kind} cannot be looked at ({error.strerror}): {path}"
    except ValueError as error:
        return f"tars cannot be looked for: {error}"


def _mapping_hint(loaded: LoadedSpec, path: Path) -> str:
    there = os.path.lexists(path)  # a folder, or a broken link
    write = f"write it with `mlimg map {loaded.path}`, or correct the path"
    return _hint(path, "file") if there else f"{did_you_mean(path, folder=False)}{write}"


def _hint(path: Path, kind: PathKind) -> str:
    parent = next(folder for folder in path.parents if _is_folder(folder))
    meant = did_you_mean(path, folder={"folder": True, "file": False, "tars": False}.get(kind))
    return f"{meant}correct the path or set its variable; the nearest folder that exists is {parent}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _ids(loaded: LoadedSpec, unreadable: list[Problem]) -> Iterator[tuple[Place, str]]:
    """Yield the ids of the spec and of the lists that it names; problems of a list are added to `unreadable`."""
    vocabulary = loaded.spec.vocabulary
    for into, olds in vocabulary.join.items():
        yield loaded.place("vocabulary", "join", into), into
        yield from ((loaded.place("vocabulary", "join", into, i), old) for i, old in enumerate(olds))
    for field in ("include", "collapse", "exclude", "exclude_below"):
        given = getattr(vocabulary, field)
        if not isinstance(given, Path):
            yield from ((loaded.place("vocabulary", field, i), wnid) for i, wnid in enumerate(given))
        elif _is_file(given):  # else `missing_paths` reports it
            try:
                yield from ((place, folded_id(wnid)) for place, wnid in lines_of(given))
            except SpecError as error:
                place = loaded.place("vocabulary", field)
                unreadable += [replace(problem, place=problem.place or place) for problem in error.problems]
