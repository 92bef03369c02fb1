"""Folders that are named for a synset and for people: n01440764_tench."""

from __future__ import annotations

import re

__all__ = ["leading_wnid"]

WNID = re.compile(r"(n\d{8})(?:[\s_.:,\-]+\S.*)?")


def leading_wnid(text: str) -> str | None:
    """The WordNet id that a text is or begins with, as folders named for people do; None where it has none.

    >>> leading_wnid("n01440764"), leading_wnid("n01440764_tench"), leading_wnid("n01440764 tench, Tinca tinca")
    ('n01440764', 'n01440764', 'n01440764')
    >>> leading_wnid("n01440764x"), leading_wnid("tench")
    (None, None)
    """
    found = WNID.fullmatch(text.strip())
    return found[1] if found else None
