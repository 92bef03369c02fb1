"""Assemble the shards and the decisions of a plan into the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

import mlimg_build
from mlimg_build.compiler.copies.copy_tables import MergedCopies, copies_attribute
from mlimg_build.compiler.engine.cache import Key, Store
from mlimg_build.compiler.facts.facts import Facts
from mlimg_build.compiler.facts.pair_counts import pairs_digest
from mlimg_build.compiler.facts.pair_table import left_out_pairs, pair_rows
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_layout import layout_of
from mlimg_build.compiler.run.label_counts import by_rule
from mlimg_build.dataset import (
    CategoryColumns,
    MappingColumns,
    PairColumns,
    ShardOutput,
    assemble,
    open_dataset,
)
from mlimg_build.dataset.write.assembly import ensure_replaceable
from mlimg_build.errors import BuildError, DatasetError, Problem
from mlimg_build.images import STATUSES, Status
from mlimg_build.labels import FATES, METHODS, RELATIONS, RULES, MappedCategory, Pairs
from mlimg_build.sources.note_codes import lost, used
from mlimg_build.spec import Spec, digest_of

ALTERNATIVES = 3  # senses listed besides the chosen one

__all__ = ["evidence", "finish", "noted", "plan_digest"]


def finish(
    plan: Plan,
    store: Store,
    path: Path,
    merged: MergedCopies,
    basis: str,
    coverage: Mapping[str, Any] | None = None,
) -> str:
    """Assemble the complete dataset at `path`; return its digest (hex).

    `basis` tells among which images the copies in `merged` were searched: "whole", "lock" or "fraction"; `coverage` is
    what came of images at URLs, None without any.
    """
    labels = by_rule(plan.work, store, len(plan.facts.vocabulary), whole=True)
    positives, negatives = np.moveaxis(labels.sum(axis=1) + merged.changed, 1, 0)
    graph, wnids = plan.graph, plan.facts.vocabulary.wnids
    parents = plan.facts.hierarchy.parents
    splits: dict[str, list[ShardOutput]] = {}
    for work in plan.work:
        splits.setdefault(work.shard.split, []).append(
            ShardOutput(store.path(work.images), store.path(work.labels))
        )
    require_room(plan.loaded.spec.name, plan.fraction, path)
    return assemble(
        path,
        layout=layout_of(plan.loaded.spec),
        splits=splits,
        categories=CategoryColumns(
            wnid=wnids,
            name=[graph.name(wnid) for wnid in wnids],
            parent_start=parents.indptr.astype(np.int64),
            parent_index=parents.indices.astype(np.int32),
            positives=positives,
            negatives=negatives,
        ),
        mappings=_mappings(plan.facts),
        pairs=_pairs(plan.facts.pairs),
        attributes={
            **_attributes(plan, store),
            **({} if coverage is None else {"coverage": coverage}),
            "copies": copies_attribute(plan.loaded.spec, merged.counts, basis),
        },
        copies=merged.tables,
        tables={
            "rules": list(RULES),
            "sources": [catalog.name for catalog in plan.inputs.catalogs],
            "licences": list(plan.rows.licences),
            "statuses": _statuses(plan, store),
            "methods": _methods(plan.facts),
            "fates": list(FATES),
            "relations": list(RELATIONS),
        },
    )


def require_room(name: str, fraction: float, path: Path) -> None:
    """Raise an error if a dataset cannot come to `path`, so that nothing is computed for it.

    Raises:
        DatasetError: `not-replaceable` if something else is there.
        BuildError: `not-replaceable` if it is the dataset of another name or fraction.
    """
    ensure_replaceable(path)
    try:
        with open_dataset(path) as dataset:
            there = (dataset.attributes.get("name"), dataset.attributes.get("fraction"))
    except DatasetError:
        return  # no dataset, or something that `assemble` itself refuses
    if there != (name, fraction):
        message = f"{path} is the dataset {there[0]} (fraction {there[1]}), so it is not replaced"
        raise BuildError(Problem("not-replaceable", message, hint="give another --out, or move it away"))


def plan_digest(plan: Plan, *, decided: bool = False) -> str:
    """Return the sha256 (hex) over everything that determines a dataset: equal plan digests give equal datasets.

    With `decided`, what came of URLs is left out: it is not decided by the spec and the sources.
    """
    images = [(work.decided if decided else work.images).digest for work in plan.work]
    return digest_of(
        {
            "fraction": plan.fraction,
            "work": [
                [work.shard.split, key, work.labels.digest]
                for work, key in zip(plan.work, images, strict=True)
            ],
            "categories": list(plan.facts.vocabulary.wnids),
            "mappings": [
                [row.decision.source, row.decision.id, row.decision.name, row.decision.method, evidence(row)]
                for row in plan.facts.vocabulary.placed
            ],
            "category_of": plan.facts.vocabulary.category_of.tolist(),
            "scores": [round(row.decision.score, 6) for row in plan.facts.vocabulary.placed],
            "narrower": plan.facts.vocabulary.narrower.tolist(),
            "pairs": [
                getattr(plan.facts.pairs, field.name).tolist()
                for field in fields(plan.facts.pairs)
                if field.name != "bound"
            ],
            "bounds": pairs_digest(plan.facts.pairs),
            "wordnet": plan.graph.digest,
            "sources": [catalog.name for catalog in plan.inputs.catalogs],
            "licences": list(plan.rows.licences),
            "duplicates": plan.loaded.spec.duplicates.exact,
        }
    )


def noted_statuses(store: Store, key: Key) -> set[str]:
    """Return the statuses of the images of a shard that have no bytes."""
    entry = store.entry(key)
    return {status for _, status, _ in entry["notes"].get("failures", ())} if entry is not None else set()


def _statuses(plan: Plan, store: Store) -> list[str]:
    """Return the table of statuses; those of fetched images, which came later, are in it as far as one is needed."""
    used = {status for work in plan.work for status in noted_statuses(store, work.images)}
    last = max((status.value for status in STATUSES if status.name in used), default=0)
    return [status.name for status in STATUSES[: max(last, Status.outside) + 1]]


def _methods(facts: Facts) -> list[str]:
    """Return the table of methods; one that came later is in it only if a category was mapped so."""
    used = {row.decision.method for row in facts.vocabulary.placed}
    return [method for method in METHODS if method != "own" or method in used]


def _mappings(facts: Facts) -> MappingColumns:
    placed, rows = facts.vocabulary.placed, facts.rows
    return MappingColumns(
        source=np.array([row.source for row in rows], np.uint16),
        id=[row.decision.id for row in placed],
        name=[row.decision.name for row in placed],
        category=facts.vocabulary.category_of,
        method=np.array([METHODS.index(row.decision.method) for row in placed], np.uint8),
        score=np.array([round(row.decision.score, 3) for row in placed], np.float32),
        narrower=facts.vocabulary.narrower.astype(np.uint8),
        fate=np.array([FATES.index(row.fate) for row in placed], np.uint8),
        relation=np.array([RELATIONS.index(row.decision.relation) for row in placed], np.uint8),
        synset=[row.decision.wnid or "" for row in placed],
        joined=[row.joined or "" for row in placed],
        evidence=["; ".join(_clauses(row)) for row in placed],
    )


def _pairs(pairs: Pairs) -> PairColumns:
    used = ~pairs.vetoed
    return PairColumns(
        antecedent=pairs.antecedent[used],
        consequent=pairs.consequent[used],
        together=pairs.together[used],
        images=pairs.images[used],
        bound=pairs.bound[used],
    )


def evidence(row: MappedCategory) -> str:
    """Return the evidence for a mapping decision and, unless it is used, its fate, as short text."""
    return "; ".join([*_clauses(row), *([] if row.fate == "used" else [row.fate])])


def _clauses(row: MappedCategory) -> list[str]:
    """Return the evidence for a mapping decision, its alternatives, and the joins and collapses applied to it."""
    decision = row.decision
    parts = [] if decision.method == "same_id" else [*decision.evidence]
    if decision.alternatives:
        others = " ".join(f"{one.wnid} {one.score:.2f}" for one in decision.alternatives[:ALTERNATIVES])
        more = len(decision.alternatives) - ALTERNATIVES
        parts.append(f"else {others}{f' and {more} more' if more > 0 else ''}")
    if row.joined not in (None, decision.wnid):
        parts.append(f"{decision.wnid} joined into {row.joined}")
    if row.wnid != row.joined:
        parts.append(f"{row.joined} collapsed into {row.wnid}")
    return parts


def _attributes(plan: Plan, store: Store) -> dict[str, Any]:
    spec, groups = plan.loaded.spec, plan.inputs.groups
    return {
        "name": spec.name,
        "version": spec.version,
        "fraction": plan.fraction,
        "plan": plan_digest(plan),
        "mlimg_version": mlimg_build.__version__,
        "spec": plan.loaded.text,
        "spec_file": Path(plan.loaded.path).name,
        "spec_digest": plan.loaded.digest,
        **plan.graph.record(),
        "sources": {
            catalog.name: {
                "type": spec.sources[catalog.name].type,
                "digest": catalog.digest,
                "lists": list(catalog.lists),
                "passed_over": lost(catalog.notes.counts),
                "noted": used(catalog.notes.counts),
                "left_out": plan.rows.left_out.get(catalog.name, {}),
            }
            for catalog in plan.inputs.catalogs
        },
        "images_without_label": plan.rows.dropped,
        "left_out": plan.left_out,
        "pairs_left_out": left_out_pairs(pair_rows(plan.facts, plan.graph)),
        "labels_below_confidence": plan.rows.below,
        "annotation": _annotation(spec),
        "contradictions": sum(noted(store, work.labels, "contradictions") for work in plan.work),
        **({} if groups is None else {"groups": groups.record()}),
    }


def _annotation(spec: Spec) -> dict[str, Any]:
    """Return the rules with which `mlimg verify --labels` derives every label again."""
    rules = spec.annotation
    pairs = rules.cooccurrence
    return {
        "positives": rules.positives,
        "negatives": rules.negatives,
        "machine_levels": rules.machine_levels,
        "implied_confidence": rules.implied_confidence,
        "add_to": [] if pairs is None else list(pairs.add_to or spec.sources),
    }


def noted(store: Store, key: Key, name: str) -> int:
    """Return a number that a stage noted with its result; 0 if there is no such result or note."""
    entry = store.entry(key)
    return int(entry["notes"].get(name, 0)) if entry else 0
