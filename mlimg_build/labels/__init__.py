"""The label algebra: which categories there are, what a label implies, and how every label came about."""

from __future__ import annotations

from mlimg_build.labels.decision import FOUND, METHODS, RELATIONS, Alternative, Decision, Named
from mlimg_build.labels.hierarchy import Hierarchy, from_graph, from_pairs
from mlimg_build.labels.implying import ANCESTORS, DESCENDANTS, RULES, STATED, LabelTable, imply
from mlimg_build.labels.judging import Judgement, judge
from mlimg_build.labels.mapping import decide
from mlimg_build.labels.scoring import POLICIES
from mlimg_build.labels.settling import Contradictions, Policy, settle
from mlimg_build.labels.spelling import spellings
from mlimg_build.labels.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.vocabulary import FATES, Placed, Thresholds, Vocabulary, gather

__all__ = [
    "ABSENT",
    "ANCESTORS",
    "DESCENDANTS",
    "FATES",
    "FOUND",
    "METHODS",
    "POLICIES",
    "PRESENT",
    "RELATIONS",
    "RULES",
    "STATED",
    "Alternative",
    "Contradictions",
    "Decision",
    "Hierarchy",
    "Judgement",
    "LabelTable",
    "Named",
    "Placed",
    "Policy",
    "Statements",
    "Thresholds",
    "Vocabulary",
    "decide",
    "from_graph",
    "from_pairs",
    "gather",
    "imply",
    "judge",
    "settle",
    "spellings",
]
