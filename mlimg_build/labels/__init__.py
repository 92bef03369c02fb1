"""The label algebra: which categories there are, what a label implies, and how every label came about."""

from __future__ import annotations

from mlimg_build.labels.adding import add_cooccurring
from mlimg_build.labels.cooccurring import Block, Counts, Pairs, count_together, learn_pairs, wilson_bound
from mlimg_build.labels.hierarchy import Hierarchy, from_graph, from_pairs
from mlimg_build.labels.implying import (
    ANCESTORS,
    COOCCURRENCE,
    COOCCURRENCE_ANCESTORS,
    DESCENDANTS,
    RULES,
    STATED,
    LabelTable,
    imply,
)
from mlimg_build.labels.mapping import METHODS, Decision, Named, decide, spellings
from mlimg_build.labels.proving import FLAWS, Flaws, Rules, prove
from mlimg_build.labels.settling import Contradictions, Policy, settle
from mlimg_build.labels.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.vocabulary import FATES, WAYS, Merge, Placed, Thresholds, Vocabulary, gather, merges

__all__ = [
    "ABSENT",
    "ANCESTORS",
    "COOCCURRENCE",
    "COOCCURRENCE_ANCESTORS",
    "DESCENDANTS",
    "FATES",
    "FLAWS",
    "METHODS",
    "PRESENT",
    "RULES",
    "STATED",
    "WAYS",
    "Block",
    "Contradictions",
    "Counts",
    "Decision",
    "Flaws",
    "Hierarchy",
    "LabelTable",
    "Merge",
    "Named",
    "Pairs",
    "Placed",
    "Policy",
    "Rules",
    "Statements",
    "Thresholds",
    "Vocabulary",
    "add_cooccurring",
    "count_together",
    "decide",
    "from_graph",
    "from_pairs",
    "gather",
    "imply",
    "learn_pairs",
    "merges",
    "prove",
    "settle",
    "spellings",
    "wilson_bound",
]
