"""Numbers with what they count, for people."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(2_000, "category", "categories")
    ('1 image', '2,000 categories')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
