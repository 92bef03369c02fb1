"""Ids of categories: `n02084071`, a noun of WordNet, and `own:SLUG`, a category that a spec adds or a source names."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable

__all__ = [
    "OWN",
    "SLUG_LONGEST",
    "folded_id",
    "folded_name",
    "is_own",
    "is_slug",
    "is_wnid",
    "loose_name",
    "marked_slug",
    "own_slugs",
    "slug_of",
]

OWN = "own:"
SLUG_LONGEST = 100  # characters

_WNID = re.compile(r"n[0-9]{8}")
_MARK = 8  # hex digits that tell apart slugs that were shortened


def is_wnid(text: str) -> bool:
    """Return whether the text is the letter n and eight digits."""
    return _WNID.fullmatch(text) is not None


def is_own(text: str) -> bool:
    """Return whether the text is an id of an own category, folded or not.

    >>> is_own("own:with_mask"), is_own("Own:Dent"), is_own("own:with mask"), is_own("n02084071")
    (True, True, False, False)
    """
    return text[: len(OWN)].casefold() == OWN and is_slug(text[len(OWN) :])


def is_slug(text: str) -> bool:
    """Return whether the text is letters, digits, `_` and `-`, at most 100 of them, and not signs alone.

    Letters of every script, with the marks that belong to them.

    >>> [is_slug(text) for text in ("with_mask", "Kratzer-2", "划痕", "with mask", "a:b", "--", "")]
    [True, True, True, False, False, False, False]
    """
    return (
        0 < len(text) <= SLUG_LONGEST
        and all(map(_belongs, text))
        and any(letter.isalnum() for letter in text)
        and not unicodedata.category(text[0]).startswith("M")
    )


def folded_id(text: str) -> str:
    """Return an id in the form in which it is compared and stored: that of an own category is NFC and casefolded.

    >>> folded_id("own:With_Mask"), folded_id("n02084071")
    ('own:with_mask', 'n02084071')
    """
    return folded_name(text) if text[: len(OWN)].casefold() == OWN else text


def folded_name(text: str) -> str:
    """Return a text in the form in which names are equal: NFC, casefolded, one space for each run of white space.

    >>> folded_name("  Kratzer  TIEF ")
    'kratzer tief'
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    return " ".join(folded.split())


def loose_name(text: str) -> str:
    """Return a name in the form in which it is that of an own category: folded, `_` and `-` as spaces.

    >>> loose_name("With_Mask") == loose_name("with  mask") == loose_name("with-mask")
    True
    """
    return folded_name(text.replace("_", " ").replace("-", " "))


def slug_of(name: str) -> str:
    """Return the slug of a name: folded, with `_` for each run of other characters; "" if no letter or digit is left.

    A longer one ends in the beginning of the sha256 of the folded name.

    >>> slug_of("With  Mask"), slug_of("3/4 view (left)"), slug_of("!?"), len(slug_of("a" * 500))
    ('with_mask', '3_4_view_left', '', 100)
    """
    folded = folded_name(name)
    parts = "".join(letter if _belongs(letter) else " " for letter in folded).split()
    slug = "_".join(part for part in parts if any(letter.isalnum() for letter in part))
    slug = slug.lstrip("".join(letter for letter in slug[:1] if unicodedata.category(letter).startswith("M")))
    if len(slug) <= SLUG_LONGEST:
        return slug
    return _with_mark(slug, folded)


def marked_slug(name: str) -> str:
    """Return the slug of a name behind which a digest of the folded name stands, for a name whose slug is another's.

    >>> marked_slug("C++"), marked_slug("!?")
    ('c-cedb1bac', 'x-8faf838e')
    """
    return _with_mark(slug_of(name) or "x", folded_name(name))


def own_slugs(names: Iterable[str], others: Iterable[str] = ()) -> dict[str, str]:
    """Return name → slug for names that become own categories, where no slug is the name of another category.

    A source's category is found by the slug of an own one, too: `zorbl` would become the own category `zorbl+`. Of
    names that differ in `_` and `-` only, the first stands for all. `others` are names that become none.

    >>> own_slugs(["with mask", "with_mask", "zorbl+", "tag?"], ["zorbl", "cat"])
    {'with mask': 'with_mask', 'zorbl+': 'zorbl-84400ef9', 'tag?': 'tag'}
    """
    kept: dict[str, str] = {}
    for name in names:
        kept.setdefault(loose_name(name), name)
    taken = {*kept, *map(loose_name, others)}
    slugs: dict[str, str] = {}
    for loose, name in kept.items():
        slug = slug_of(name)
        if not slug or (loose_name(slug) != loose and loose_name(slug) in taken):
            slug = marked_slug(name)
        taken.add(loose_name(slug))
        slugs[name] = slug
    return slugs


def _with_mark(slug: str, folded: str) -> str:
    mark = hashlib.sha256(folded.encode(errors="surrogatepass")).hexdigest()[:_MARK]
    return f"{slug[: SLUG_LONGEST - _MARK - 1]}-{mark}"


def _belongs(letter: str) -> bool:
    if letter.isascii():
        return letter.isalnum() or letter in "_-"
    kind = unicodedata.category(letter)
    return kind[0] in "LM" or kind == "Nd"
