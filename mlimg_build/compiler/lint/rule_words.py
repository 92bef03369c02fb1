"""What a rule had found of a category that people decided about, kept in the evidence of its row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mlimg_build.compiler.facts.unsigned_rows import CORRECTED, described
from mlimg_build.labels import FOUND, Alternative, Decision
from mlimg_build.wordnet import NounGraph

__all__ = ["DECIDED", "found_before", "kept_evidence", "rule_words", "with_rule"]

TOOK = "the rule took "
DECIDED = {"method": "file", "score": "1.000"}  # of a row that people decided about
_ID = re.compile(r"(a kind of )?(n\d{8}|own:\S+)\b.*?([01]\.\d{2,3})?$")


def rule_words(decision: Decision, graph: NounGraph) -> str:
    """Return what a rule took, as the evidence of a row has it; "" for what no rule decided."""
    if decision.method not in (*FOUND, "unresolved"):
        return ""
    wnid, score = decision.wnid or "", f"{decision.score:.2f}"
    return _words(wnid, described(graph, wnid), score, decision.relation)


def with_rule(evidence: str, rule: str) -> str:
    """Return the evidence of a row for one that is decided now; what it says of a rule already stays.

    >>> with_rule("first of 2 senses", "the rule took nothing")
    'the rule took nothing; first of 2 senses'
    """
    if not rule or TOOK in evidence:
        return evidence
    return "; ".join(filter(None, (rule, evidence.removeprefix(CORRECTED).removeprefix("; "))))


def kept_evidence(old: Mapping[str, str], graph: NounGraph) -> str:
    """Return what a signed row says of the rule; of one that was signed by hand, what it said before."""
    evidence = old.get("evidence", "")
    if TOOK in evidence:
        return evidence[evidence.index(TOOK) :]
    if old.get("method", "") not in (*FOUND, "unresolved"):
        return ""
    synset, wnid = old.get("synset", ""), old.get("wnid", "")
    wnid = wnid if synset == described(graph, wnid) else ""  # a hand that changes the id leaves the words
    score = old.get("score", "")[:4]
    relation = "is_a" if old["method"] == "head" else "same_as"
    return with_rule(evidence, _words(wnid, synset if old["method"] in FOUND else "", score, relation))


def found_before(row: Mapping[str, str], graph: NounGraph) -> Iterator[Alternative]:
    """Yield what the rule had found of a signed row: what it took, then the other senses."""
    evidence = row.get("evidence", "")
    took = evidence[evidence.index(TOOK) + len(TOOK) :].split("; ", 1)[0] if TOOK in evidence else ""
    for text in (took, *row.get("alternatives", "").split(" | ")):
        if (found := _ID.match(text)) and found[2] in graph:
            yield Alternative(found[2], float(found[3] or 0), "is_a" if found[1] else "same_as")


def _words(wnid: str, synset: str, score: str, relation: str = "same_as") -> str:
    if not wnid and not synset:
        return f"{TOOK}nothing"
    kind_of = "a kind of " if relation == "is_a" else ""
    return f"{TOOK}{kind_of}{' '.join(filter(None, (wnid, synset)))}, {score}"
