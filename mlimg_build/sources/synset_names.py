"""Parse names of folders that contain a synset's id and a readable name: n01440764_tench."""

from __future__ import annotations

import re

__all__ = ["leading_wnid"]

WNID = re.compile(r"(n\d{8})(?:[\s_.:,\-]+\S.*)?")


def leading_wnid(text: str) -> str | None:
    """Return the WordNet id that a text is, or begins with before a separator; None if there is none.

    >>> leading_wnid("n01440764"), leading_wnid("n01440764_tench"), leading_wnid("n01440764 tench, Tinca tinca")
    ('n01440764', 'n01440764', 'n01440764')
    >>> leading_wnid("n01440764x"), leading_wnid("tench")
    (None, None)
    """
    found = WNID.fullmatch(text.strip())
    return found[1] if found else None
