"""List what builds keep in `.mlimg` and `NAME.runs`, and prune what is not needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from mlimg_build.compiler.engine.build_usage import digests_of, last_build, read_variants
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.engine.store_usage import LEFTOVER, Cost, Entry, cost_of, entries_of, last_used
from mlimg_build.compiler.facts.preflight import load_nouns
from mlimg_build.compiler.plan.plan import make_plan
from mlimg_build.compiler.plan_stage import interruptible
from mlimg_build.compiler.run.store_retention import needed
from mlimg_build.compiler.training_run_files import Run, RunPruned, prune_runs, runs_in
from mlimg_build.errors import BuildError, Problem
from mlimg_build.spec import LoadedSpec
from mlimg_build.spec.field_types import is_slug

__all__ = [
    "CacheContents",
    "CachePruned",
    "Stage",
    "StagePruned",
    "StoreContents",
    "cache_contents",
    "prune_cache",
]

State = Literal["needed", "previous", "linked", "recent", "spare"]
"""Why an entry is kept: the specs or last build use it, the previous build did, a dataset links to its files, it was
used since the last build ended; or `spare`: for no reason, so that `cache prune` removes it."""

STATES: tuple[State, ...] = get_args(State)
Needed = Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class Stage:
    """The results of one stage: their number by state, their size, and when one was last used.

    Removing all frees `bytes`; `linked_bytes` are shared with a dataset; a prune frees `spare_bytes`.
    """

    stage: str
    entries: int
    states: dict[State, int]
    bytes: int
    linked_bytes: int
    spare_bytes: int
    last_used: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class StoreContents:
    """The store of the builds of one name; `judged_by` tells what determines the state "needed": specs or a build."""

    name: str
    folder: Path
    judged_by: Literal["specs", "last build", "nothing"]
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class CacheContents:
    """The stores and runs in a folder."""

    stores: tuple[StoreContents, ...]
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class StagePruned:
    """What was removed from one stage of a store."""

    store: str
    stage: str
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CachePruned:
    """What a prune removed, or would remove; `busy` has the errors of stores and runs that were skipped as in use.

    `looked` are the names of the stores and run folders that were examined.
    """

    looked: tuple[str, ...]
    stages: tuple[StagePruned, ...]
    runs: tuple[RunPruned, ...]
    busy: tuple[Problem, ...]
    unbuilt: tuple[str, ...]  # stores without a recorded build, which are skipped as their needs are unknown
    dry_run: bool

    @property
    def bytes(self) -> int:
        """The number of bytes that were freed, or would be."""
        return sum(one.bytes for one in self.stages) + sum(one.bytes for one in self.runs)


def cache_contents(
    specs: Sequence[LoadedSpec], out: Path, progress: Callable[[str], None] = lambda message: None
) -> CacheContents:
    """Return the stores and runs in `out`, of the names of the specs or of all; specs are planned to know their needs.

    Raises the errors of a plan, and `BuildError` `build-running`.
    """
    stores = []
    for store in _stores(specs, out):
        kept = _needed(specs, store, progress)
        stores.append(_contents(store.root, kept))
    return CacheContents(tuple(stores), tuple(runs_in(out.absolute(), _names(specs))))


def prune_cache(
    specs: Sequence[LoadedSpec],
    out: Path,
    progress: Callable[[str], None] = lambda message: None,
    *,
    optimizer: bool = False,
    dry_run: bool = False,
) -> CachePruned:
    """Remove unneeded entries from the stores in `out`, and all but the last checkpoint of finished runs.

    With specs, everything that they do not need is removed from the stores of their names, and nothing from others.
    Without, everything is removed from every store that neither of the last two builds used and that was not used since
    the last one, so that stopped builds can resume; a store without a finished build is skipped. Entries that a dataset
    links to are always kept. With `optimizer`, the last checkpoints of finished runs keep their weights only.

    Raises the errors of a plan, and `BuildError` `build-running` for the store of a spec.
    """
    stages: list[StagePruned] = []
    busy: list[BuildError] = []
    unbuilt: list[str] = []
    with interruptible():
        stores, there = _stores(specs, out), list(runs_in(out.absolute(), _names(specs)))
        for store in stores:
            kept = _needed(specs, store, progress)
            if kept is None and not read_variants(store.root):
                unbuilt.append(store.root.name)
                continue
            try:
                stages += _pruned(store, kept, dry_run)
            except BuildError as error:
                if specs or error.code != "build-running":
                    raise
                busy.append(error)
        runs, training = prune_runs(there, optimizer=optimizer, dry_run=dry_run)
    looked = (*(store.root.name for store in stores), *(run.folder.parent.name for run in there))
    problems = tuple(problem for error in (*busy, *training) for problem in error.problems)
    return CachePruned(looked, tuple(stages), tuple(runs), problems, tuple(unbuilt), dry_run)


def _names(specs: Sequence[LoadedSpec]) -> set[str] | None:
    return {loaded.spec.name for loaded in specs} or None


def _stores(specs: Sequence[LoadedSpec], out: Path) -> list[Store]:
    """Return the stores in `out` of the names of the specs, or all without specs; what was fetched is none of them."""
    root = out.absolute() / ".mlimg"
    found = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    names = _names(specs)
    return [Store(root / name) for name in found if is_slug(name) and (names is None or name in names)]


def _needed(specs: Sequence[LoadedSpec], store: Store, progress: Callable[[str], None]) -> Needed | None:
    """Return, by stage, the digests that the specs of a store's name need; None if no spec is given."""
    found: dict[str, set[str]] = {}
    for loaded in specs:
        if loaded.spec.name == store.root.name:
            planned = Store(store.root)
            with planned.exclusive_lock(), interruptible():
                made = make_plan(loaded, load_nouns(loaded), planned, progress=progress)
            for stage, digests in needed(made.inputs.catalogs, made.work, planned).items():
                found.setdefault(stage, set()).update(digests)
    return found if specs else None


def _judged(root: Path, kept: Needed | None) -> list[tuple[Entry, Cost, State]]:
    """Return every entry of a store with its cost and its state."""
    variants, built = read_variants(root), last_build(root)
    now = kept if kept is not None else digests_of(variants, newest=1)
    before = {} if kept is not None else digests_of(variants)

    def state(entry: Entry, cost: Cost) -> State:
        if entry.stage == LEFTOVER:
            return "spare"
        if entry.digest in now.get(entry.stage, ()):
            return "needed"
        if entry.digest in before.get(entry.stage, ()):
            return "previous"
        if cost.linked:
            return "linked"
        return "recent" if kept is None and (not built or last_used(entry.path) >= built) else "spare"

    costs = ((entry, cost_of(entry.path)) for entry in entries_of(root))
    return [
        (entry, cost, state(entry, cost))
        for entry, cost in costs
        if entry.stage != LEFTOVER or cost.own  # empty folders of workers are not listed
    ]


def _contents(root: Path, kept: Needed | None) -> StoreContents:
    judged = _judged(root, kept)
    stages = []
    for name in dict.fromkeys(entry.stage for entry, _, _ in judged):
        rows = [row for row in judged if row[0].stage == name]
        found = Counter(state for _, _, state in rows)
        total = sum((cost for _, cost, _ in rows), Cost())
        stages.append(
            Stage(
                stage=name,
                entries=len(rows),
                states={state: found[state] for state in STATES if found[state]},
                bytes=total.own,
                linked_bytes=total.linked,
                spare_bytes=sum(cost.own for _, cost, state in rows if state == "spare"),
                last_used=max(last_used(entry.path) for entry, _, _ in rows),
            )
        )
    known: Literal["last build", "nothing"] = "last build" if read_variants(root) else "nothing"
    return StoreContents(root.name, root, "specs" if kept is not None else known, tuple(stages))


def _pruned(store: Store, kept: Needed | None, dry_run: bool) -> list[StagePruned]:
    """Remove the spare entries of a store; return what was removed by stage."""
    left = [(entry, cost) for entry, cost, _ in _judged(store.root, kept) if entry.stage == LEFTOVER]
    with nullcontext() if dry_run else store.exclusive_lock():  # which also removes leftovers of killed runs
        judged = _judged(store.root, kept)
        spare = [
            (entry, cost) for entry, cost, state in judged if state == "spare" and entry.stage != LEFTOVER
        ]
        if not dry_run:
            for entry, _ in spare:
                store.remove(entry.path)
        left = [
            (entry, cost) for entry, cost in left if dry_run or not entry.path.exists()
        ]  # a task may fill one
    gone: dict[str, list[Cost]] = {}
    for entry, cost in (*left, *spare):
        gone.setdefault(entry.stage, []).append(cost)
    return [
        StagePruned(store.root.name, stage, len(costs), sum(cost.own for cost in costs))
        for stage, costs in gone.items()
    ]
