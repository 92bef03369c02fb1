"""The labels of one shard, derived by a worker from the rows of its images."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.compiler.engine.cache import Key, PendingResults
from mlimg_build.compiler.facts.facts import load_rules
from mlimg_build.compiler.plan.annotation_rules import AnnotationRules
from mlimg_build.compiler.plan.row_files import SOURCES, shard_batch, statements_of
from mlimg_build.compiler.run.label_counts import save_counts
from mlimg_build.dataset import ContradictionColumns, LabelColumns, Layout, write_labels
from mlimg_build.labels import Contradictions, Hierarchy, Pairs, Statements, derive

__all__ = ["LabelShard", "label_shard"]


@dataclass(frozen=True, slots=True)
class LabelShard:
    """A job: derive the labels of one shard."""

    store: Path
    umask: int
    key: Key
    rows: Path
    split: str
    number: int
    facts: Path
    layout: Layout
    annotation: AnnotationRules


def label_shard(job: LabelShard, results: PendingResults) -> None:
    """Derive the labels of a shard from what is stated, and store them."""
    batch = shard_batch(job.rows, job.split, job.number)
    hierarchy, pairs, relation = _rules(str(job.facts))
    statements = statements_of(batch)
    table, clashes = derive(
        statements,
        hierarchy,
        job.annotation.rules,
        job.annotation.conflicts,
        pairs,
        images=np.isin(batch.column("source").to_numpy(), job.annotation.add_to),
        relation=relation,
    )
    source_of = _sources(str(job.rows / SOURCES))
    labels = LabelColumns(
        counts=table.counts(len(batch)),
        source=source_of[table.mapping],
        **{
            field.name: getattr(table, field.name)
            for field in fields(LabelColumns)
            if field.name not in ("counts", "source")
        },
    )
    with results.create(job.key) as (folder, notes):
        clashing = _contradictions(statements, clashes, len(batch))
        write_labels(folder, job.layout, labels, clashing, sync=False)
        save_counts(folder, table, len(hierarchy))
        notes["contradictions"] = len(clashes)


def _contradictions(statements: Statements, clashes: Contradictions, images: int) -> ContradictionColumns:
    absent, present = statements.take(clashes.absent), statements.take(clashes.present)
    return ContradictionColumns(
        counts=np.bincount(absent.image, minlength=images).astype(np.int64),
        absent=absent.category,
        present=present.category,
        absent_mapping=absent.mapping,
        present_mapping=present.mapping,
        absent_record=absent.record,
        present_record=present.record,
        confidence=present.confidence,
        kept=clashes.kept,
    )


@lru_cache(maxsize=1)
def _rules(path: str) -> tuple[Hierarchy, Pairs, sparse.csr_array]:
    """Return the hierarchy, the pairs, and the relation that the pairs form."""
    hierarchy, pairs = load_rules(Path(path))
    return hierarchy, pairs, pairs.relation(len(hierarchy))


@lru_cache(maxsize=1)
def _sources(path: str) -> npt.NDArray[np.uint16]:
    found: npt.NDArray[np.uint16] = np.load(path, allow_pickle=False)
    return found
