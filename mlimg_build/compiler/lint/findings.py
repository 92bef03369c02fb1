"""`mlimg lint`: find what people should review in the categories and rules of a spec before they trust its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.copies.copy_findings import CopyFinding, copy_findings
from mlimg_build.compiler.copies.copy_tables import copies_attribute, merge_copies
from mlimg_build.compiler.copies.duplicates import groups_of_copies, ordered_groups
from mlimg_build.compiler.engine.cache import Store
from mlimg_build.compiler.facts.facts import dag_of
from mlimg_build.compiler.facts.mapping_warnings import accepted_from
from mlimg_build.compiler.facts.pair_table import PairRow, pair_rows
from mlimg_build.compiler.facts.unused_categories import UnusedCategory
from mlimg_build.compiler.lint.contradictions import contradictions
from mlimg_build.compiler.lint.unused_rules import unused_rules
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.compiler.run.label_counts import by_rule
from mlimg_build.dataset.write.shard_writer import read_labels
from mlimg_build.errors import Problem
from mlimg_build.labels import (
    KINDS,
    NAME_DOUBTS,
    PRESENT,
    Finding,
    Hierarchy,
    circular_parts,
    distinct_names,
    doubtful_findings,
    lint,
    part_pairs,
    shape,
    shared_images,
)
from mlimg_build.wordnet import NounGraph

__all__ = ["PART_COLUMNS", "Lint", "lint_plan", "part_rows"]

PART_COLUMNS = ("part", "whole", "part_name", "whole_name", "circular")


@dataclass(frozen=True, slots=True)
class Lint:
    """The result of a lint: findings about categories, unused rules, contradictions, copies, pairs, the hierarchy."""

    joins: tuple[Problem, ...]  # mismatches between lists and folders of images
    findings: tuple[Finding, ...]
    unused: tuple[Problem, ...]
    unused_categories: tuple[UnusedCategory, ...]
    source_categories: int
    left_out: dict[str, int]  # images by reason
    contradictions: list[tuple[Any, ...]]
    copies: tuple[CopyFinding, ...]
    copied: dict[str, Any]  # the counts of copies as in the dataset's attribute; empty if no image is built
    pairs: tuple[PairRow, ...]  # the doubtful ones, used or not
    shape: dict[str, Any]
    names: dict[str, str]
    kinds: dict[str, str]  # kind of finding → what it means and what its count counts


def lint_plan(plan: Plan, store: Store) -> Lint:
    """Return the findings about a plan whose labels are all in the store."""
    spec, facts = plan.loaded.spec, plan.facts
    wnids, hierarchy = facts.vocabulary.wnids, facts.hierarchy
    names = distinct_names(plan.graph, wnids)
    rules = spec.annotation
    whole = rules.positives == "ancestors" and rules.machine_levels == "all"
    counts = by_rule(plan.work, store, len(wnids)).sum(axis=1)
    findings = lint(
        plan.graph,
        wnids,
        hierarchy,
        positives=counts[:, 0],
        negatives=counts[:, 1],
        shared=None if whole else _shared(hierarchy, plan.work, store),
        dag=None if spec.hierarchy.parents == "all" else dag_of(plan.loaded, wnids, plan.graph),
        names=names,
        images=sum(work.shard.images for work in plan.work),
    )
    form = shape(hierarchy)
    accepted = accepted_from(spec.vocabulary.mapping)
    groups = ordered_groups(groups_of_copies(spec, plan.work, store))
    copied = merge_copies(groups, spec, facts, plan.rows, plan.work, merge=False).counts
    built = [store.has(work.images, asked_again=True) for work in plan.work]
    return Lint(
        joins=plan.inputs.joins,
        findings=(*doubtful_findings(facts.vocabulary.placed, accepted, plan.graph), *findings),
        unused=unused_rules(plan, store),
        unused_categories=plan.unused_categories,
        source_categories=len(facts.vocabulary.placed),
        left_out=plan.left_out,
        contradictions=contradictions(plan, store),
        copies=copy_findings(groups, plan.rows, plan.work, names),
        copied=copies_attribute(spec, copied, "whole" if all(built) else "fraction") if any(built) else {},
        pairs=tuple(row for row in pair_rows(facts, plan.graph) if row.doubt),
        shape={
            "categories": form.categories,
            "roots": form.roots,
            "implied_pairs": form.pairs,
            "deepest": form.deepest,
            "mean_depth": round(form.mean_depth, 4),
        },
        names=dict(zip(wnids, names, strict=True)),
        kinds={**NAME_DOUBTS, **KINDS},
    )


def part_rows(graph: NounGraph, wnids: Sequence[str]) -> list[tuple[str, ...]]:
    """Return rows of `PART_COLUMNS` of every part and whole in the vocabulary, for an allow-list.

    `circular` is "x" for those that would form a cycle, else "".
    """
    pairs = part_pairs(graph, wnids)
    round_ = {*circular_parts(graph, pairs)}
    return [
        (part, whole, graph.name(part), graph.name(whole), "x" if (part, whole) in round_ else "")
        for part, whole in pairs
    ]


def _shared(hierarchy: Hierarchy, work: Sequence[ShardWork], store: Store) -> npt.NDArray[np.int64]:
    """Return the number of images that carry both ends of each edge of the hierarchy, counted shard by shard."""
    total = np.zeros(hierarchy.parents.nnz, np.int64)
    for one in work:
        columns = read_labels(store.path(one.labels), "labels", ("start", "stop", "state", "category"))
        count = (columns["stop"] - columns["start"]).astype(np.int64)
        image = np.repeat(np.arange(len(count)), count)
        present = columns["state"] == PRESENT
        total += shared_images(hierarchy, image[present], columns["category"][present])
    return total
