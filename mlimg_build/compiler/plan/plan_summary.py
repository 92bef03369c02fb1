"""Summarize a plan in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mlimg_build.compiler.catalog.catalog import Catalog
from mlimg_build.compiler.facts.pair_table import left_out_pairs, pair_rows
from mlimg_build.compiler.plan.plan import Plan
from mlimg_build.compiler.plan.shard_work import ShardWork
from mlimg_build.labels import merges
from mlimg_build.sources.note_codes import lost, used
from mlimg_build.spec import Spec

__all__ = ["plan_summary"]


def plan_summary(plan: Plan) -> dict[str, Any]:
    """Return the plan in numbers, for the printed summary and for `--json`."""
    todo = [work for work in plan.work if not work.images_cached]
    groups = plan.inputs.groups
    pairs = pair_rows(plan.facts, plan.graph)
    return {
        "name": plan.loaded.spec.name,
        "version": plan.loaded.spec.version,
        "fraction": plan.fraction,
        "sources": {
            item.name: {
                "images": len(item.images),
                "statements": len(item.statements),
                "digest": item.digest,
                "passed_over": lost(item.notes.counts),
                "noted": used(item.notes.counts),
                **_tars(plan.loaded.spec, item),
            }
            for item in plan.inputs.catalogs
        },
        "categories": len(plan.facts.vocabulary),
        "mapping": dict(Counter(row.decision.method for row in plan.facts.vocabulary.placed)),
        "mapping_reviewed": sum(
            row.fate == "used" and not row.unreviewed for row in plan.facts.vocabulary.placed
        ),
        "fates": dict(Counter(row.fate for row in plan.facts.vocabulary.placed)),
        "implied_pairs": plan.facts.hierarchy.pairs,
        "images": sum(work.shard.images for work in plan.work),
        "bytes": sum(work.shard.bytes for work in plan.work),
        "unused_categories": [asdict(one) for one in plan.unused_categories],
        "images_without_label": plan.rows.dropped,
        "left_out": plan.left_out,
        "labels_below_confidence": plan.rows.below,
        "splits": plan.rows.splits,
        "groups": None if groups is None else {**groups.record(), "splits": groups.splits},
        "shards": len(plan.work),
        "image_shards_cached": sum(work.images_cached for work in plan.work),
        "label_shards_cached": sum(work.labels_cached for work in plan.work),
        "images_to_read": sum(work.shard.images for work in todo),
        "bytes_to_read": sum(work.shard.bytes for work in todo),
        "tasks": plan.tasks,
        "why": {
            "images": dict(Counter(work.why_images for work in plan.work if work.why_images)),
            "labels": dict(Counter(work.why_labels for work in plan.work if work.why_labels)),
        },
        "merged": {
            way: merge._asdict() for way, merge in merges(plan.facts.vocabulary).items() if merge.categories
        },
        "pairs": int((~plan.facts.pairs.vetoed).sum()),
        "pairs_left_out": left_out_pairs(pairs),
        "pair_list": [asdict(row) for row in pairs],
        "unused": [f"{problem.place}: {problem.message}" for problem in plan.unused],
        "training": _training(plan.loaded.spec, plan.work),
    }


def _tars(spec: Spec, catalog: Catalog) -> dict[str, Any]:
    """Return the tars of a source that are its lists, too: how many, the first and the last."""
    if spec.sources[catalog.name].type != "webdataset":
        return {}
    return {"tars": {"count": len(catalog.lists), "first": catalog.lists[0], "last": catalog.lists[-1]}}


def _training(spec: Spec, work: Sequence[ShardWork]) -> dict[str, Any] | None:
    """Return the planned training; its steps count all training images, as if each has bytes and no copy."""
    part, transfer = spec.training, spec.transfer
    if part is None:
        return None
    images = sum(one.shard.images for one in work if one.shard.split == "train")
    return {
        "model": part.model,
        "image_size": part.image_size,
        "images": images,
        "epochs": part.epochs,
        "steps": part.epochs * (part.steps_per_epoch or max(1, round(images / part.batch_size))),
        "batch_size": part.batch_size,
        "transfer": None if transfer is None else transfer.source,
    }
