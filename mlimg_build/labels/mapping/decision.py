"""A source's category, and what was decided about it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FOUND", "METHODS", "RELATIONS", "Alternative", "Decision", "Named"]

METHODS = ("same_id", "file", "synonym", "lemma", "head", "unresolved", "own")
"""How a category was mapped: the source gave the id; people chose it; its name is a lemma of a synset that
another category has by id; its name is a lemma; the head word of its name is a lemma; no synset fits; its name is
that of an own category (last, as datasets without such a one have a table of the others)."""

FOUND = ("synonym", "lemma", "head")
"""The methods by which a rule found a synset, which people may want to review."""

RELATIONS = ("same_as", "is_a")
"""The relation of a category to its synset: the same thing, or a kind of it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A category as a source names it; `wnid` if the source itself gives a WordNet id."""

    source: str
    id: str
    name: str
    wnid: str | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another synset that a category may mean, with its score (0 to 1).

    `near` is the lemma that is spelt nearly as the name, where no noun is called so; it is never taken by a rule.
    """

    wnid: str
    score: float
    relation: str = "same_as"
    near: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The synset of a source category (None if none fits), how certain it is, and the evidence for it.

    `score` is the expected share of such decisions that are right (0 to 1; 1 for ids and reviews, 0 for
    unresolved). `alternatives` are the other senses, the likeliest first; `evidence` is clauses for people.
    """

    source: str
    id: str
    name: str
    wnid: str | None
    method: str
    form: str = ""  # the spelling under which WordNet knows the name
    alternatives: tuple[Alternative, ...] = ()
    score: float = 0.0
    relation: str = "same_as"
    evidence: tuple[str, ...] = ()
    reviewer: str = ""  # who reviewed it, if somebody did
