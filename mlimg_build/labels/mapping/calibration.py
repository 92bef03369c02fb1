"""Calibrated scores: the expected share of such decisions that are right."""

from __future__ import annotations

__all__ = ["COMPANY", "HEAD", "NAME", "company_of", "head_support", "trust"]

NAME = 0.97
"""The share that was right of the names in the tuning half of the ground truth whose sense was certain."""

HEAD = (0.35, 0.6, 0.8)
"""The same for heads, counted by hand on 45 each: for a head that is neither another category nor the
head of several names, for one that is one of the two, and for one that is both."""

SEVERAL = 3  # from so many names with one head on, it is likely to be a kind of thing


def head_support(is_category: bool, names: int) -> int:
    """Return how many of two criteria a head meets: it is a category itself; it is the head of several names.

    >>> head_support(True, 9), head_support(False, 1)
    (2, 0)
    """
    return int(is_category) + int(names >= SEVERAL)


PAIR = 2.0  # single things that are no evidence: Labrador and Boston may both be dogs
COMPANY = 3.0  # prior: this many categories, with the share of single things of WordNet


def company_of(same: float, others: float, usual: float) -> float:
    """Return how much rarer single things of one kind are among the other categories than in WordNet, at most 1.

    Of `others` categories, `same` are single places, people or things of the lexicographer's file, of which the
    first `PAIR` do not count; in WordNet their share is `usual`.

    >>> company_of(0, 0, 0.05), round(company_of(0, 57, 0.05), 2), company_of(9, 57, 0.05)
    (1.0, 0.05, 1.0)
    """
    return min(1.0, (max(same - PAIR, 0.0) + COMPANY * usual) / (others + COMPANY) / usual)


def trust(share: float, support: int | None, company: float = 1.0) -> float:
    """Return the score (0 to 1) of a belief: of a name's sense, or of a head's with this support.

    The odds that a name means what WordNet calls so are NAME : 1 - NAME. The sense of a name that equals WordNet's
    by chance is distributed as among all nouns, and that of a name that means it as among the other categories: by
    Bayes' rule the odds are multiplied by `company`, the ratio of the two.

    >>> trust(1.0, None), trust(0.5, None), trust(0.5, 0), trust(1.0, None, company=0.05)
    (0.97, 0.485, 0.175, 0.618)
    """
    odds = company * NAME / (1 - NAME)
    return round(share * (odds / (1 + odds) if support is None else HEAD[support]), 3)
