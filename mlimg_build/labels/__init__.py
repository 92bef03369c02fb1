"""The label algebra: the vocabulary of categories, what a label implies, and the proof of every label."""

from __future__ import annotations

from mlimg_build.labels.derivation.confidences import at_least, narrowed, written
from mlimg_build.labels.derivation.contradictions import Contradictions, Policy, resolve_contradictions
from mlimg_build.labels.derivation.cooccurrence import (
    Block,
    Counts,
    Pairs,
    count_together,
    learn_pairs,
    wilson_bound,
    without_implied,
)
from mlimg_build.labels.derivation.cooccurrence_labels import add_cooccurring
from mlimg_build.labels.derivation.derivation import derive
from mlimg_build.labels.derivation.implication import (
    ANCESTORS,
    COOCCURRENCE,
    COOCCURRENCE_ANCESTORS,
    DESCENDANTS,
    RULES,
    STATED,
    LabelTable,
    imply,
)
from mlimg_build.labels.derivation.pair_counts import count_lacking
from mlimg_build.labels.derivation.pair_doubts import DOUBTS, information_content, judge_pairs
from mlimg_build.labels.derivation.proofs import FLAWS, Flaws, Rules, prove
from mlimg_build.labels.derivation.sharing import shared_images
from mlimg_build.labels.derivation.statements import ABSENT, PRESENT, Statements
from mlimg_build.labels.findings import KINDS, Finding, lint
from mlimg_build.labels.hierarchy.differences import Departures, Difference, Shape, difference, shape
from mlimg_build.labels.hierarchy.hierarchy import Hierarchy, from_graph, from_pairs
from mlimg_build.labels.hierarchy.names import distinct_names, synset_name
from mlimg_build.labels.hierarchy.parts import circular_parts, part_pairs
from mlimg_build.labels.hierarchy.trees import collapse_only_leaves, nearest_parents, tree_by_rule
from mlimg_build.labels.mapping.candidates import nouns_of
from mlimg_build.labels.mapping.decision import FOUND, METHODS, RELATIONS, Alternative, Decision, Named
from mlimg_build.labels.mapping.decisions import decide
from mlimg_build.labels.mapping.mapping_accuracy import Judgement, judge
from mlimg_build.labels.mapping.scores import POLICIES
from mlimg_build.labels.mapping.spelling import spellings
from mlimg_build.labels.name_doubts import (
    NAME_DOUBTS,
    NEAR,
    doubtful_findings,
    near_ties,
    same_names,
    unsure,
)
from mlimg_build.labels.vocabulary import (
    FATES,
    WAYS,
    MappedCategory,
    Merge,
    Thresholds,
    Vocabulary,
    build_vocabulary,
    merges,
)

__all__ = [
    "ABSENT",
    "ANCESTORS",
    "COOCCURRENCE",
    "COOCCURRENCE_ANCESTORS",
    "DESCENDANTS",
    "DOUBTS",
    "FATES",
    "FLAWS",
    "FOUND",
    "KINDS",
    "METHODS",
    "NAME_DOUBTS",
    "NEAR",
    "POLICIES",
    "PRESENT",
    "RELATIONS",
    "RULES",
    "STATED",
    "WAYS",
    "Alternative",
    "Block",
    "Contradictions",
    "Counts",
    "Decision",
    "Departures",
    "Difference",
    "Finding",
    "Flaws",
    "Hierarchy",
    "Judgement",
    "LabelTable",
    "MappedCategory",
    "Merge",
    "Named",
    "Pairs",
    "Policy",
    "Rules",
    "Shape",
    "Statements",
    "Thresholds",
    "Vocabulary",
    "add_cooccurring",
    "at_least",
    "build_vocabulary",
    "circular_parts",
    "collapse_only_leaves",
    "count_lacking",
    "count_together",
    "decide",
    "derive",
    "difference",
    "distinct_names",
    "doubtful_findings",
    "from_graph",
    "from_pairs",
    "imply",
    "information_content",
    "judge",
    "judge_pairs",
    "learn_pairs",
    "lint",
    "merges",
    "narrowed",
    "near_ties",
    "nearest_parents",
    "nouns_of",
    "part_pairs",
    "prove",
    "resolve_contradictions",
    "same_names",
    "shape",
    "shared_images",
    "spellings",
    "synset_name",
    "tree_by_rule",
    "unsure",
    "wilson_bound",
    "without_implied",
    "written",
]
