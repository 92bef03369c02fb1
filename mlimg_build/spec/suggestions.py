"""Suggest what a word with a typo was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["listed", "nearest"]


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to `word`, or None if none is similar; case, `-` and `_` make no difference.

    >>> nearest("imges", ["images", "labels"])
    'images'
    >>> nearest("Open-Images", ["open_images", "imagenet"])
    'open_images'
    >>> nearest("zebra", ["images", "labels"]) is None
    True
    """
    plain: dict[str, str] = {}
    for choice in sorted(choices):
        plain.setdefault(_plain(choice), choice)
    found = get_close_matches(_plain(word)[:200], plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return the words as a list in a sentence.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *first, final = list(words)
    return f"{', '.join(first)} {last} {final}" if first else final


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")
