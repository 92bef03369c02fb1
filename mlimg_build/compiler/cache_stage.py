"""What builds keep in `.mlimg` and `NAME.runs`: shown, and what nobody needs removed."""

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
from mlimg_build.compiler.facts.preflight import check_ids, load_wordnet
from mlimg_build.compiler.pipeline import interruptible
from mlimg_build.compiler.plan.plan import make_plan
from mlimg_build.compiler.run.store_retention import needed
from mlimg_build.compiler.training_run_files import Run, RunPruned, prune_runs, runs_in
from mlimg_build.errors import BuildError, Problem
from mlimg_build.spec import LoadedSpec

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
"""What keeps an entry: the specs or the last build read it, the build before did, a dataset has its files, it was used
since the last build ended; or nothing does, so that `cache prune` removes it."""

STATES: tuple[State, ...] = get_args(State)
Needed = Mapping[str, set[str]]


@dataclass(frozen=True, slots=True)
class Stage:
    """The results of one stage: how many there are by what keeps them, what they take, when one was last used.

    `bytes` are free once all are removed, `linked_bytes` belong to a dataset as well, `spare_bytes` go with a prune.
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
    """What the builds of one name keep; `judged_by` says what "needed" goes by: specs, or the last build."""

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
    """What went of one stage of a store."""

    store: str
    stage: str
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class CachePruned:
    """What a prune removed, or would; `busy` are the stores and runs that were in use, which it left as they are.

    `looked` are the names of the stores and folders of runs that there are, of those that were asked for.
    """

    looked: tuple[str, ...]
    stages: tuple[StagePruned, ...]
    runs: tuple[RunPruned, ...]
    busy: tuple[Problem, ...]
    unbuilt: tuple[str, ...]  # stores in which no build is recorded, so that nobody knows what they need
    dry_run: bool

    @property
    def bytes(self) -> int:
        """How many bytes are free now, or would be."""
        return sum(one.bytes for one in self.stages) + sum(one.bytes for one in self.runs)


def cache_contents(
    specs: Sequence[LoadedSpec], out: Path, progress: Callable[[str], None] = lambda message: None
) -> CacheContents:
    """What lies in `out`, of the names of these specs or of all; with specs they are planned, to know what they need.

    Raises every error of a plan, and `BuildError` `build-running`.
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
    """Removes what nobody needs from the stores in `out`, and all but the last checkpoint of finished runs.

    With specs: of the stores of their names everything that they do not need, and nothing of others. Without: of every
    store what neither of the last two builds used and nobody touched since the last one, so that builds that were
    stopped go on; a store into which no build ended is left alone. What a dataset links to always stays.
    With `optimizer` the last checkpoints of finished runs keep their weights only.

    Raises every error of a plan, and `BuildError` `build-running` for the store of a spec.
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
    """The stores in `out` that a command is about."""
    root = out.absolute() / ".mlimg"
    found = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    names = _names(specs)
    return [Store(root / name) for name in found if names is None or name in names]


def _needed(specs: Sequence[LoadedSpec], store: Store, progress: Callable[[str], None]) -> Needed | None:
    """What the specs of a store's name need of it, by stage; None where no spec is given."""
    found: dict[str, set[str]] = {}
    for loaded in specs:
        if loaded.spec.name == store.root.name:
            planned = Store(store.root)
            with planned.exclusive_lock(), interruptible():
                graph = load_wordnet(loaded)
                check_ids(loaded, graph)
                made = make_plan(loaded, graph, planned, progress=progress)
            for stage, digests in needed(made.inputs.catalogs, made.work, planned).items():
                found.setdefault(stage, set()).update(digests)
    return found if specs else None


def _judged(root: Path, kept: Needed | None) -> list[tuple[Entry, Cost, State]]:
    """Every entry of a store with what it takes and what keeps it."""
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
        if entry.stage != LEFTOVER or cost.own  # empty folders of workers are nothing to speak of
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
    """Removes what is spare of a store, stage by stage."""
    left = [(entry, cost) for entry, cost, _ in _judged(store.root, kept) if entry.stage == LEFTOVER]
    with nullcontext() if dry_run else store.exclusive_lock():  # which removes what killed runs left
        judged = _judged(store.root, kept)
        spare = [
            (entry, cost) for entry, cost, state in judged if state == "spare" and entry.stage != LEFTOVER
        ]
        if not dry_run:
            for entry, _ in spare:
                store.remove(entry.path)
    gone: dict[str, list[Cost]] = {}
    for entry, cost in (*left, *spare):
        gone.setdefault(entry.stage, []).append(cost)
    return [
        StagePruned(store.root.name, stage, len(costs), sum(cost.own for cost in costs))
        for stage, costs in gone.items()
    ]
