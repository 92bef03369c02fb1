"""The label algebra: which categories there are, what a label implies, and how every label came about."""

from __future__ import annotations

from mlimg_build.labels.comparing import Departures, Difference, Shape, difference, shape
from mlimg_build.labels.hierarchy import Hierarchy, from_graph, from_pairs
from mlimg_build.labels.implying import ANCESTORS, DESCENDANTS, RULES, STATED, LabelTable, imply
from mlimg_build.labels.linting import KINDS, Finding, lint
from mlimg_build.labels.mapping import METHODS, Decision, Named, decide, spellings
from mlimg_build.labels.naming import distinct_names, synset_name
from mlimg_build.labels.parts import circular_parts, part_pairs
from mlimg_build.labels.settling import Contradictions, Policy, settle
from mlimg_build.labels.sharing import shared_images
from mlimg_build.labels.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.treeing import collapse_only_leaves, nearest_parents, tree_by_rule
from mlimg_build.labels.vocabulary import FATES, Placed, Thresholds, Vocabulary, gather

__all__ = [
    "ABSENT",
    "ANCESTORS",
    "DESCENDANTS",
    "FATES",
    "KINDS",
    "METHODS",
    "PRESENT",
    "RULES",
    "STATED",
    "Contradictions",
    "Decision",
    "Departures",
    "Difference",
    "Finding",
    "Hierarchy",
    "LabelTable",
    "Named",
    "Placed",
    "Policy",
    "Shape",
    "Statements",
    "Thresholds",
    "Vocabulary",
    "circular_parts",
    "collapse_only_leaves",
    "decide",
    "difference",
    "distinct_names",
    "from_graph",
    "from_pairs",
    "gather",
    "imply",
    "lint",
    "nearest_parents",
    "part_pairs",
    "settle",
    "shape",
    "shared_images",
    "spellings",
    "synset_name",
    "tree_by_rule",
]
