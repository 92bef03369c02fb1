"""Numbers for people: with what they count, and in per cent."""

from __future__ import annotations

__all__ = ["counted", "percent"]


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "image"), counted(2_000, "category", "categories")
    ('1 image', '2,000 categories')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def percent(share: float) -> str:
    """Return a share in per cent, with one figure.

    >>> percent(0.4123), percent(1)
    ('41.2 %', '100.0 %')
    """
    return f"{100 * share:.1f} %"
