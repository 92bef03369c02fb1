"""How far to trust a belief: about the share of such decisions that are right."""

from __future__ import annotations

__all__ = ["COMPANY", "HEAD", "NAME", "company_of", "head_support", "trust"]

NAME = 0.97
"""Of the names in the tuning half of the truth whose sense was certain, the share that was right."""

HEAD = (0.35, 0.6, 0.8)
"""The same for heads, counted by eye on 45 each: of a head that is neither another category nor the
head of several names, of one that is one of the two, and of one that is both."""

SEVERAL = 3  # names with one head, from which on it is likely to be a kind of thing


def head_support(is_category: bool, names: int) -> int:
    """How many of two things speak for a head: it is a category itself, and it is the head of several names.

    >>> head_support(True, 9), head_support(False, 1)
    (2, 0)
    """
    return int(is_category) + int(names >= SEVERAL)


PAIR = 2.0  # single things that say nothing of each other: Labrador and Boston may both be dogs
COMPANY = 3.0  # imagined categories of which as many are single things as in WordNet, before others are seen


def company_of(same: float, others: float, usual: float) -> float:
    """How much rarer single things of one kind are among the other categories than in WordNet, 1 for not rarer.

    Of `others` categories so many (`same`) are single places, people or things of the lexicographer's file, of
    which the first `PAIR` do not count; in WordNet their share is `usual`.

    >>> company_of(0, 0, 0.05), round(company_of(0, 57, 0.05), 2), company_of(9, 57, 0.05)
    (1.0, 0.05, 1.0)
    """
    return min(1.0, (max(same - PAIR, 0.0) + COMPANY * usual) / (others + COMPANY) / usual)


def trust(share: float, support: int | None, company: float = 1.0) -> float:
    """The score (0 to 1) of a belief: of a name's sense, or of a head's with so much support.

    That a name means what WordNet calls so has the odds NAME : 1 - NAME. A name that only happens to be WordNet's
    has a sense as any noun has; one that means it has a sense as the others of its vocabulary have: by Bayes' rule
    the odds change by `company`, the ratio of the two.

    >>> trust(1.0, None), trust(0.5, None), trust(0.5, 0), trust(1.0, None, company=0.05)
    (0.97, 0.485, 0.175, 0.618)
    """
    odds = company * NAME / (1 - NAME)
    return round(share * (odds / (1 + odds) if support is None else HEAD[support]), 3)
