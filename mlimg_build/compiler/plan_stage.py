"""The verb `plan`, and what the others begin with: the store, the plan, what is understood of the sources."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.facts import decide_facts
from mlimg_build.compiler.facts.flat_vocabulary import flat_nouns
from mlimg_build.compiler.facts.preflight import load_nouns
from mlimg_build.compiler.facts.unused_categories import UnusedCategory, unused_categories
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.plan.inputs import read_inputs
from mlimg_build.compiler.plan.plan import Plan, make_plan
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.run.repair import without_damage
from mlimg_build.compiler.understood import Understood, understood
from mlimg_build.compiler.urls.fetch_outlook import FetchOutlook, fetch_outlook
from mlimg_build.compiler.urls.fetch_stage import FetchPlace
from mlimg_build.compiler.watchers import Watcher
from mlimg_build.errors import BuildError, Interrupted, Problem
from mlimg_build.labels import MappedCategory
from mlimg_build.spec import Backend, LoadedSpec
from mlimg_build.spec.reading import require_text
from mlimg_build.wordnet import NounGraph

__all__ = [
    "Understanding",
    "dataset_path",
    "interruptible",
    "open_store",
    "outlook",
    "plan",
    "planned",
    "undamaged",
    "understand",
]


def dataset_path(loaded: LoadedSpec, out: Path, fraction: float) -> Path:
    """Return the path of the dataset of a build; a fraction has another path than the whole."""
    part = "" if fraction >= 1 else f"@{fraction!r}"  # no name of a dataset holds an @
    return out / f"{loaded.spec.name}{part}.zarr"


def plan(
    loaded: LoadedSpec,
    out: Path,
    fraction: float = 1.0,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Return the plan of a build into `out`, including the rules of the spec that have no effect."""
    store = open_store(loaded, out)
    with store.exclusive_lock():
        made = planned(loaded, store, fraction, progress)
        for flaw in store.damaged:
            progress(f"damaged, and made anew: {flaw}")
        return replace(made, unused=unused_rules(made, store))


class Understanding(NamedTuple):
    """What is understood of each source, the decisions about its categories, and the warnings."""

    sources: dict[str, Understood]
    placed: tuple[MappedCategory, ...]
    unused: tuple[UnusedCategory, ...]
    graph: NounGraph
    warnings: tuple[Problem, ...]


def understand(
    loaded: LoadedSpec, out: Path, progress: Callable[[str], None] = lambda message: None
) -> Understanding:
    """Return what is understood of a spec's sources; no image is read, and no row is ordered."""
    store = open_store(loaded, out)
    with store.exclusive_lock():
        nouns = load_nouns(loaded)
        inputs = read_inputs(loaded, store, progress)
        graph = flat_nouns(loaded, inputs.catalogs) if nouns is None else nouns
        facts = decide_facts(loaded, inputs.catalogs, graph, store, progress)
        found = understood(loaded.spec, inputs.catalogs, facts, graph)
        placed = facts.vocabulary.placed
        unused = unused_categories(loaded.spec, placed, graph)
        return Understanding(found, placed, unused, graph, (*loaded.warnings, *inputs.joins, *facts.warnings))


def outlook(made: Plan, out: Path, place: FetchPlace) -> FetchOutlook | None:
    """Return what fetching the images of a plan into `place` takes; None if none of them lies at a URL."""
    free = None
    if "://" not in place.store:
        there = next(path for path in (Path(place.store), *Path(place.store).parents) if path.exists())
        with suppress(OSError):
            free = shutil.disk_usage(there).free
    return fetch_outlook(made, open_store(made.loaded, out), place.ledger, free)


def open_store(loaded: LoadedSpec, out: Path, backend: Backend | None = None) -> Store:
    require_text(out.absolute(), "the path of --out")
    if out.exists() and not out.is_dir():
        raise BuildError(Problem("out-not-a-folder", f"--out is a file: {out}", hint="give a folder"))
    checks = (backend or Backend()).verify_linked
    return Store(out.absolute() / ".mlimg" / loaded.spec.name, checks)


def planned(loaded: LoadedSpec, store: Store, fraction: float, progress: Callable[[str], None]) -> Plan:
    return make_plan(loaded, load_nouns(loaded), store, fraction, progress)


def undamaged(made: Plan, store: Store, watcher: Watcher) -> Plan:
    """Return the plan with every damaged stored result marked to be rebuilt."""
    watcher.step("checking what is stored")
    checked = without_damage(layout_of(made.loaded.spec), made.work, store)
    store.damaged.extend(checked.flaws)
    for flaw in store.damaged:
        watcher.step(f"damaged, and made anew: {flaw}")
    return replace(made, work=checked.work)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn `KeyboardInterrupt` (Ctrl-C, SIGTERM) into `Interrupted`, whose hint tells how to resume."""
    try:
        yield
    except KeyboardInterrupt as stop:
        hint = "run the same command again to go on from here"
        raise Interrupted(Problem("interrupted", "it was stopped", hint=hint)) from stop
