"""Read the inputs of a plan: the catalogs of the sources, their groups, the digests of the lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mlimg_build.compiler.catalog.catalog import Catalog, catalog
from mlimg_build.compiler.catalog.join_problems import problems_of_joins
from mlimg_build.compiler.catalog.source_warnings import source_warnings
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.retries import retried
from mlimg_build.compiler.facts.list_digests import list_digests, refuse_changed
from mlimg_build.compiler.plan.image_groups import Groups, group_images
from mlimg_build.errors import MlimgError, Problem, SourceError
from mlimg_build.sources import open_source
from mlimg_build.spec import LoadedSpec

__all__ = ["Inputs", "read_inputs", "refuse_changed_lists"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was read of the sources and lists of a spec.

    `lists` are the digests of the files that affect the dataset and that no source reads. `groups` is None if the spec
    has no groups. `joins` are warnings of likely mistakes, such as lists and folders that do not match.
    """

    catalogs: tuple[Catalog, ...]
    lists: Mapping[str, str]
    groups: Groups | None
    joins: tuple[Problem, ...]


def read_inputs(
    loaded: LoadedSpec, store: Store, progress: Callable[[str], None] = lambda message: None
) -> Inputs:
    """Read the sources' lists and folders, if they changed, but no image.

    Raises:
        SourceError: if a source cannot be read, or its lists and folder do not match.
        SpecError: if a list of the spec cannot be read, or a rule of groups matches no image.
    """
    catalogs = _catalogs(loaded, store, progress)
    joins = (*problems_of_joins(loaded, catalogs), *source_warnings(loaded, catalogs))
    if any(problem.severity == "error" for problem in joins):
        raise SourceError(joins)
    progress("placing categories")
    lists = _list_digests(loaded)
    grouped, groups = group_images(loaded, catalogs, store)
    return Inputs(grouped, lists, groups, joins)


def refuse_changed_lists(loaded: LoadedSpec, inputs: Inputs) -> None:
    """Raises `SpecError` `list-changed` with every list of the spec that changed since it was read."""
    refuse_changed(loaded, inputs.lists, _list_digests(loaded))


def _list_digests(loaded: LoadedSpec) -> dict[str, str]:
    """Return the digests of the spec's lists, without those that a source reads."""
    known = {path for name, part in loaded.spec.sources.items() for path in open_source(name, part).files}
    return list_digests(loaded, known)


def _catalogs(loaded: LoadedSpec, store: Store, progress: Callable[[str], None]) -> Sequence[Catalog]:
    """Return all catalogs. Raises the problems of all sources together."""
    made, problems = [], []
    for name, part in loaded.spec.sources.items():
        progress(f"reading source {name}")
        try:
            source = open_source(name, part)
            folder, damaged = store.root / "catalog", store.damaged.append
            made.append(
                retried(partial(catalog, name, source, part, folder, store.checks, damaged), progress)
            )
        except MlimgError as error:
            place = loaded.place("sources", name)
            problems += [
                Problem(problem.code, problem.message, problem.place or place, problem.hint)
                for problem in error.problems
            ]
            kind = type(error)
    if problems:
        raise kind(problems)
    return made
