"""Shards become the dataset, and what was decided becomes the lock beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mlimg_build
from mlimg_build.build.planning import Plan
from mlimg_build.build.store import Store
from mlimg_build.dataset import Artefacts, CategoryColumns, MappingColumns, assemble, open_dataset
from mlimg_build.errors import BuildError, DatasetError, Problem
from mlimg_build.images import STATUSES
from mlimg_build.labels import METHODS, RULES, Placed
from mlimg_build.spec import digest_of

__all__ = ["as_csv", "evidence", "failures", "finish", "label_counts", "passed_over", "plan_digest"]


def finish(plan: Plan, store: Store, path: Path) -> str:
    """The dataset lies at `path`, complete; returns its digest (hex)."""
    positives, negatives = label_counts(plan, store)
    graph, wnids = plan.graph, plan.facts.vocabulary.wnids
    parents = plan.facts.hierarchy.parents
    splits: dict[str, list[Artefacts]] = {}
    for work in plan.work:
        splits.setdefault(work.shard.split, []).append(
            Artefacts(store.path(work.images), store.path(work.labels))
        )
    _refuse_another(plan, path)
    return assemble(
        path,
        layout=plan.layout,
        splits=splits,
        categories=CategoryColumns(
            wnid=wnids,
            name=[graph.name(wnid) for wnid in wnids],
            parent_start=parents.indptr.astype(np.int64),
            parent_index=parents.indices.astype(np.int32),
            positives=positives,
            negatives=negatives,
        ),
        mappings=_mappings(plan),
        attributes=_attributes(plan, store),
        tables={
            "rules": list(RULES),
            "sources": [catalog.name for catalog in plan.catalogs],
            "licences": list(plan.rows.licences),
            "statuses": [status.name for status in STATUSES],
            "methods": list(METHODS),
        },
    )


def _refuse_another(plan: Plan, path: Path) -> None:
    """Raises `BuildError` where `path` holds the dataset of another spec or another fraction."""
    try:
        with open_dataset(path) as dataset:
            there = (dataset.attributes.get("name"), dataset.attributes.get("fraction"))
    except DatasetError:
        return  # nothing, or what `assemble` itself refuses
    if there != (plan.loaded.spec.name, plan.fraction):
        message = f"{path} is the dataset {there[0]} (fraction {there[1]}), so it is not replaced"
        raise BuildError(Problem("not-replaceable", message, hint="give another --out, or move it away"))


def failures(plan: Plan, store: Store) -> Iterator[tuple[str, str, str]]:
    """(image id, status, reason) of every image that has no bytes, in the order of the rows."""
    for work in plan.work:
        entry = store.entry(work.images)
        yield from (tuple(row) for row in entry["notes"]["failures"]) if entry else ()


def passed_over(plan: Plan) -> Iterator[tuple[str, str, int, str]]:
    """(source, code, count, example) of everything that a source held and that could not be used."""
    for catalog in plan.catalogs:
        for code, count in sorted(catalog.notes.counts.items()):
            yield from ((catalog.name, code, count, example) for example in catalog.notes.examples[code])


def plan_digest(plan: Plan) -> str:
    """sha256 over everything that decides a dataset's digest: two plans with one digest make one dataset; hex."""
    return digest_of(
        {
            "fraction": plan.fraction,
            "work": [[work.shard.split, work.images.digest, work.labels.digest] for work in plan.work],
            "categories": list(plan.facts.vocabulary.wnids),
            "mappings": [
                [row.decision.source, row.decision.id, row.decision.name, row.decision.method, evidence(row)]
                for row in plan.facts.vocabulary.placed
            ],
            "category_of": plan.facts.vocabulary.category_of.tolist(),
            "wordnet": plan.graph.digest,
            "sources": [catalog.name for catalog in plan.catalogs],
            "licences": list(plan.rows.licences),
        }
    )


def label_counts(plan: Plan, store: Store) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """int64[categories] each: the images in which every category is present, and verified absent."""
    n = len(plan.facts.vocabulary)
    positives, negatives = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for work in plan.work:
        category, present, absent = np.load(store.path(work.labels) / "counts.npy", allow_pickle=False)
        positives[category] += present
        negatives[category] += absent
    return positives, negatives


def _mappings(plan: Plan) -> MappingColumns:
    placed, rows = plan.facts.vocabulary.placed, plan.facts.rows
    return MappingColumns(
        source=np.array([row.source for row in rows], np.uint16),
        id=[row.decision.id for row in placed],
        name=[row.decision.name for row in placed],
        category=plan.facts.vocabulary.category_of,
        method=np.array([METHODS.index(row.decision.method) for row in placed], np.uint8),
        evidence=[evidence(row) for row in placed],
    )


def evidence(row: Placed) -> str:
    """What speaks for a decision and what became of it, in a few words."""
    decision = row.decision
    parts = []
    if decision.form and decision.form != (decision.name or decision.id):
        parts.append(f"as {decision.form!r}")
    if decision.alternatives:
        parts.append(f"other senses {' '.join(decision.alternatives)}")
    if row.wnid != decision.wnid:
        parts.append(f"{decision.wnid} joined into {row.wnid}")
    if row.fate != "used":
        parts.append(row.fate)
    return "; ".join(parts)


def _attributes(plan: Plan, store: Store) -> dict[str, Any]:
    spec = plan.loaded.spec
    return {
        "name": spec.name,
        "version": spec.version,
        "fraction": plan.fraction,
        "plan": plan_digest(plan),
        "mlimg_version": mlimg_build.__version__,
        "spec": plan.loaded.text,
        "spec_file": Path(plan.loaded.path).name,
        "spec_digest": plan.loaded.digest,
        "wordnet": {"release": plan.graph.release, "digest": plan.graph.digest},
        "sources": {
            catalog.name: {
                "type": spec.sources[catalog.name].type,
                "digest": catalog.digest,
                "lists": list(catalog.lists),
                "passed_over": dict(catalog.notes.counts),
            }
            for catalog in plan.catalogs
        },
        "images_without_label": plan.rows.dropped,
        "labels_below_confidence": plan.rows.below,
        "contradictions": sum(_noted(store, work.labels, "contradictions") for work in plan.work),
    }


def _noted(store: Store, key: Any, name: str) -> int:
    entry = store.entry(key)
    return int(entry["notes"][name]) if entry else 0


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV with one fact a line."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()
