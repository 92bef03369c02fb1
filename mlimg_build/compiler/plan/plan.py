"""Plan a build: all decisions are made here, before any worker starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.facts.facts import Facts, decide_facts, save_rules
from mlimg_build.compiler.facts.flat_vocabulary import flat_nouns
from mlimg_build.compiler.facts.preflight import missing_paths
from mlimg_build.compiler.facts.unused_categories import UnusedCategory, unused_categories
from mlimg_build.compiler.plan.fetched_rows import FetchKeys
from mlimg_build.compiler.plan.image_groups import share_warnings
from mlimg_build.compiler.plan.inputs import Inputs, read_inputs, refuse_changed_lists
from mlimg_build.compiler.plan.left_out import sum_by_reason
from mlimg_build.compiler.plan.refused_contradictions import refuse_contradictions
from mlimg_build.compiler.plan.result_keys import ShardKeys, rows_key, rules_key
from mlimg_build.compiler.plan.row_files import RowIndex
from mlimg_build.compiler.plan.row_writer import write_rows
from mlimg_build.compiler.plan.shard_work import LABELS_PER_TASK, ShardWork, shard_work
from mlimg_build.compiler.plan.withdrawals import Withdrawals, withdrawals
from mlimg_build.errors import Problem, SpecError
from mlimg_build.quantities import counted
from mlimg_build.spec import LoadedSpec, Spec
from mlimg_build.wordnet import NounGraph

__all__ = ["Plan", "make_plan"]

RULES = "rules.npz"


@dataclass(frozen=True, slots=True)
class Plan:
    """A complete plan of a build: facts, rows, and the work on each shard; `work` covers only `fraction`.

    `rules_file` passes the hierarchy and the pairs to workers. `unused` warns of rules of the spec that had no effect,
    if requested; `withdrawn` are the images that the spec takes down.
    """

    loaded: LoadedSpec
    graph: NounGraph
    inputs: Inputs
    facts: Facts
    rows: RowIndex
    rules_file: Path
    fraction: float
    work: tuple[ShardWork, ...]
    unused: tuple[Problem, ...] = ()
    withdrawn: Withdrawals = field(default_factory=Withdrawals)

    def cut(self, fraction: float) -> Plan:
        """Return the plan of the first shards of each split, at least one; they equal those of the whole."""
        shards = {*self.rows.first_shards(fraction)}
        work = tuple(one for one in self.work if one.shard in shards)
        return replace(self, fraction=fraction, work=work)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The warnings of the spec, the sources, the facts, the groups and the list of withdrawn images."""
        groups = self.inputs.groups
        shared = () if groups is None else share_warnings(self.loaded, groups, self.rows.splits)
        unknown = () if not self.rows.unknown else (self._unknown(),)
        return (*self.loaded.warnings, *self.inputs.joins, *self.facts.warnings, *shared, *unknown)

    def _unknown(self) -> Problem:
        """Return the warning about entries of the list of withdrawn images that name none."""
        count = counted(self.rows.unknown, "entry", "entries")
        message = f"{count} of the list of withdrawn images name no image of the dataset: {self.rows.example}"
        hint = "write SOURCE/NAME as `mlimg why` shows it, or the URL as the source gives it"
        place = self.loaded.place("rights", "withdrawn")
        return Problem("withdrawn-unknown", message, place, hint, severity="warning")

    @property
    def unused_categories(self) -> tuple[UnusedCategory, ...]:
        """The source categories that are not used, those with the most images first."""
        return unused_categories(self.loaded.spec, self.facts.vocabulary.placed, self.graph)

    @property
    def left_out(self) -> dict[str, int]:
        """The number of images left out of the whole dataset, by reason."""
        return sum_by_reason(self.rows.left_out.values())

    @property
    def tasks(self) -> int:
        """The number of tasks that are left."""
        packed = sum(not work.images_cached for work in self.work)
        labelled = sum(work.images_cached and not work.labels_cached for work in self.work)
        return packed + math.ceil(labelled / LABELS_PER_TASK)


def make_plan(
    loaded: LoadedSpec,
    graph: NounGraph | None,
    store: Store,
    fraction: float = 1.0,
    progress: Callable[[str], None] = lambda message: None,
) -> Plan:
    """Return the plan of a build; reads the sources' lists and folders, if they changed, but no image.

    Without a `graph`, the vocabulary is flat: its categories are the names of the sources'.

    Raises every error of a spec that shows only with its sources: `SpecError`, `SourceError`, `WordNetError`,
    `LabelError`, `BuildError`.
    """
    absent = [problem for problem in missing_paths(loaded) if problem.severity == "error"]
    if absent:
        raise SpecError(absent)
    spec = loaded.spec
    inputs = read_inputs(loaded, store, progress)
    graph = flat_nouns(loaded, inputs.catalogs) if graph is None else graph
    facts = decide_facts(loaded, inputs.catalogs, graph, store, progress)
    refuse_changed_lists(loaded, inputs)
    progress("ordering images")
    withdrawn = withdrawals(loaded, store)
    key = rows_key(spec, inputs, facts, withdrawn)
    rows = _rows(key, spec, inputs, facts, store, withdrawn)
    rules_file = _rules_file(facts, store)
    if spec.annotation.conflicts == "error":
        refuse_contradictions(loaded, facts, store, key, rows)
    work = shard_work(rows.first_shards(fraction), ShardKeys.of(spec, facts), FetchKeys.of(loaded), store)
    return Plan(loaded, graph, inputs, facts, rows, rules_file, fraction, tuple(work), withdrawn=withdrawn)


def _rows(
    key: Key, spec: Spec, inputs: Inputs, facts: Facts, store: Store, withdrawn: Withdrawals
) -> RowIndex:
    """Return the rows stored under `key`; they are written first if they are not in the store."""
    if not store.sound(key):
        with store.create(key) as (folder, notes):
            notes.update(write_rows(spec, inputs.catalogs, facts, folder, withdrawn=withdrawn).record())
    entry = store.entry(key)
    assert entry is not None  # noqa: S101  it was made just above
    return RowIndex.from_record(entry["notes"], store.path(key))


def _rules_file(facts: Facts, store: Store) -> Path:
    """Return the stored file with the hierarchy and the pairs; it is written first if it is not in the store."""
    key = rules_key(facts)
    if not store.sound(key):
        with store.create(key) as (folder, _):
            save_rules(folder / RULES, facts)
    return store.path(key) / RULES
