"""Contradictions between sources: pairs of mutually exclusive statements, counted over images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.copies.copy_contradictions import Told, tally_copies
from mlimg_build.compiler.copies.copy_tables import MergedCopies, merge_copies
from mlimg_build.compiler.copies.duplicates import CopiesByDigest, Copy, groups_of_copies, ordered_groups
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.run.assembly import noted
from mlimg_build.dataset.format.layout import CONTRADICTION_COLUMNS
from mlimg_build.dataset.write.shard_writer import read_labels
from mlimg_build.sources import place_of

__all__ = ["COLUMNS", "clash_counts", "contradictions"]

COLUMNS = (
    "absent",
    "absent_name",
    "said_by",
    "present",
    "present_name",
    "and_by",
    "how",
    "stands",
    "images",
    "example",
)
STANDS = {1: "presence", -1: "absence", 0: "neither", 2: "each for its copy"}


def contradictions(plan: Plan, store: Store, merged: MergedCopies | None = None) -> list[tuple[Any, ...]]:
    """Return rows of `COLUMNS`, the most frequent first: the categories, the lists that state them, what stands.

    `how` is "people" if people stated both, "machine" if a machine stated the presence, and "copy" if the absence is
    stated of one copy of an image and the presence of another. For copies `images` counts files, and `merged` (computed
    if it is not given) decides what stands; if the spec does not merge copies, it counts pairs of copies, each of which
    keeps its own labels. Only shards whose labels are built count; for copies, only those whose images are built.
    Memory: the contradictions of one shard, and the statements about copies, or the labels of shards with copies.
    """
    spec, facts, catalogs = plan.loaded.spec, plan.facts, plan.inputs.catalogs
    counted: dict[tuple[Any, ...], int] = defaultdict(int)
    example: dict[tuple[Any, ...], str] = {}
    for work in plan.work:
        if not noted(store, work.labels, "contradictions"):
            continue
        names = ("start", "stop", *(column.name for column in CONTRADICTION_COLUMNS))
        columns = read_labels(store.path(work.labels), "contradictions", names)
        count = (columns["stop"] - columns["start"]).astype(np.int64)
        image = np.repeat(np.arange(len(count)), count)
        batch = plan.rows.batch(work.shard)
        for i in range(len(image)):
            key = (
                int(columns["absent"][i]),
                _who(catalogs, facts, int(columns["absent_mapping"][i]), int(columns["absent_record"][i])),
                int(columns["present"][i]),
                _who(catalogs, facts, int(columns["present_mapping"][i]), int(columns["present_record"][i])),
                "people" if columns["confidence"][i] >= 1 else "machine",
                int(columns["kept"][i]),
            )
            counted[key] += 1
            example.setdefault(key, batch.column("id")[int(image[i])].as_py())
    if spec.duplicates.exact == "merge":
        if merged is None:
            groups = ordered_groups(groups_of_copies(spec, plan.work, store))
            merged = merge_copies(groups, spec, facts, plan.rows, plan.work)
        copied = _within_files(catalogs, facts, merged)
    else:
        copied = _between_copies(catalogs, facts, groups_of_copies(spec, plan.work, store), store)
    for key, times, which in copied:
        counted[key] += times
        example.setdefault(key, which)
    wnids, graph = facts.vocabulary.wnids, plan.graph
    rows = [
        (
            *(wnids[absent], graph.name(wnids[absent]), said),
            *(wnids[present], graph.name(wnids[present]), by),
            *(how, STANDS[kept], count, example[absent, said, present, by, how, kept]),
        )
        for (absent, said, present, by, how, kept), count in counted.items()
    ]
    return sorted(rows, key=lambda row: (-row[8], *row[:8]))


def clash_counts(plan: Plan, store: Store) -> Counter[tuple[str, str, int]]:
    """Return (absent category, present category, what stands as in `STANDS`) → contradictions within single images."""
    counted: Counter[tuple[str, str, int]] = Counter()
    wnids = plan.facts.vocabulary.wnids
    for work in plan.work:
        if noted(store, work.labels, "contradictions"):
            columns = read_labels(store.path(work.labels), "contradictions", ("absent", "present", "kept"))
            rows = zip(*(columns[name].tolist() for name in ("absent", "present", "kept")), strict=True)
            counted.update((wnids[absent], wnids[present], kept) for absent, present, kept in rows)
    return counted


def _within_files(
    catalogs: Sequence[Catalog], facts: Facts, merged: MergedCopies
) -> Iterator[tuple[tuple[Any, ...], int, str]]:
    """Yield (key, 1, example) of each distinct contradiction between copies of a file; the key tells what stands."""
    columns = {name: np.asarray(values).tolist() for name, values in merged.tables.contradictions.items()}
    ids = merged.tables.members["id"]
    for start, stop in zip(columns["start"], columns["stop"], strict=True):
        found: dict[tuple[Any, ...], str] = {}
        for i in range(start, stop):
            one, other = columns["absent_member"][i], columns["present_member"][i]
            if one != other:  # else it is a contradiction within one image, which is counted with its shard
                denied = _who(catalogs, facts, columns["absent_mapping"][i], columns["absent_record"][i])
                stated = _who(catalogs, facts, columns["present_mapping"][i], columns["present_record"][i])
                key = (
                    columns["absent"][i],
                    denied,
                    columns["present"][i],
                    stated,
                    "copy",
                    columns["kept"][i],
                )
                found.setdefault(key, f"{ids[one]} = {ids[other]}")
        yield from ((key, 1, which) for key, which in found.items())


def _between_copies(
    catalogs: Sequence[Catalog], facts: Facts, groups: CopiesByDigest, store: Store
) -> Iterator[tuple[tuple[Any, ...], int, str]]:
    """Yield (key, count, example) of labels stated absent from one copy of an image and present in another."""
    names = ("start", "stop", "category", "state", "rule", "via", "mapping", "record")
    read: dict[str, dict[str, npt.NDArray[Any]] | None] = {}

    def told(copy: Copy) -> Told:
        key = copy.work.labels
        if key.digest not in read:
            read[key.digest] = read_labels(store.path(key), "labels", names) if store.has(key) else None
        if (columns := read[key.digest]) is None:
            return Told()
        start, stop = int(columns["start"][copy.row]), int(columns["stop"][copy.row])
        labels = list(zip(*(columns[name][start:stop].tolist() for name in names[2:]), strict=True))
        return Told(
            {
                category: _who(catalogs, facts, *said)
                for category, state, rule, _, *said in labels
                if state < 0 and rule == 0
            },
            [
                (category, via, _who(catalogs, facts, *said))
                for category, state, _, via, *said in labels
                if state > 0
            ],
        )

    for group in groups.values():
        for pair, count, (one, other) in tally_copies([told(copy) for copy in group]):
            yield (*pair, "copy", 2), count, f"{group[one].id} = {group[other].id}"


def _who(catalogs: Sequence[Catalog], facts: Facts, mapping: int, record: int) -> str:
    """Return the source of a statement and, if it has one, its list, as `source/list`."""
    catalog = catalogs[facts.rows[mapping].source]
    lists: Sequence[str] = catalog.lists
    number, _ = place_of(record)
    return f"{catalog.name}/{lists[number]}" if record and lists else catalog.name
