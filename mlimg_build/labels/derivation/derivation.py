"""Derive labels from statements: resolve contradictions, imply, add labels by co-occurrence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from mlimg_build.labels.derivation.contradictions import Contradictions, Policy, resolve_contradictions
from mlimg_build.labels.derivation.cooccurrence import Pairs
from mlimg_build.labels.derivation.cooccurrence_labels import add_cooccurring
from mlimg_build.labels.derivation.implication import LabelTable, imply
from mlimg_build.labels.derivation.proofs import Rules
from mlimg_build.labels.derivation.statements import Statements
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy

__all__ = ["derive"]


def derive(
    statements: Statements,
    hierarchy: Hierarchy,
    rules: Rules,
    policy: Policy,
    pairs: Pairs,
    *,
    images: npt.NDArray[np.bool_],
    relation: sparse.csr_array | None = None,
) -> tuple[LabelTable, Contradictions]:
    """Return the labels that follow from the statements, and the contradictions among the statements.

    `images`, bool by image number, says which images get labels by the pairs; `relation` is `pairs.relation`, for
    callers that have it already. An image's labels follow from its own statements alone.
    """
    standing, contradictions = resolve_contradictions(statements, hierarchy, policy)
    table = imply(
        standing,
        hierarchy,
        positives=rules.positives,
        negatives=rules.negatives,
        machine_levels=rules.machine_levels,
        strongest=rules.strongest,
    )
    if len(pairs):
        table = add_cooccurring(
            table,
            pairs,
            hierarchy,
            images=images,
            positives=rules.positives,
            machine_levels=rules.machine_levels,
            relation=relation,
        )
    return table, contradictions
