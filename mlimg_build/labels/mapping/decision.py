"""A source's category, and what was decided about it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FOUND", "METHODS", "RELATIONS", "Alternative", "Decision", "Named"]

METHODS = ("same_id", "file", "synonym", "lemma", "head", "unresolved")
"""How a category was placed: the source gave the id; people chose it; its name is a lemma of a synset that
another category has by id; its name is a lemma; the head word of its name is a lemma; nothing fits."""

FOUND = ("synonym", "lemma", "head")
"""The methods by which a rule found a synset, which people may want to look at."""

RELATIONS = ("same_as", "is_a")
"""What a category is to its synset: the same thing, or a kind of it."""


@dataclass(frozen=True, slots=True)
class Named:
    """A category as a source names it; `wnid` where the source itself speaks WordNet."""

    source: str
    id: str
    name: str
    wnid: str | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another synset that a category may be, with its share of the belief (0 to 1)."""

    wnid: str
    score: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The synset of a source category (None where nothing fits), how sure it is and what speaks for it.

    `score` is the share of such decisions that are right (0 to 1; 1 for ids and reviews, 0 for unresolved).
    `alternatives` are the other senses, the likeliest first; `evidence` is clauses for people.
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
    reviewer: str = ""  # who looked at it, where somebody did
