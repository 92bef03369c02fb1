"""What stands where a name should and is none: words for a missing value, numbers, truth values, names of splits."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["NO_VALUE", "is_number", "leading_wnid", "name_kind", "names_of_splits", "split_of"]

NO_VALUE = frozenset(
    ("", "na", "n/a", "n.a.", "n.a", "#n/a", "#na", "<na>", "nan", "-nan", "none", "null", "nil", "nat")
).union(("-", "--", "?", "??", "...", "\u2026", "\u2013", "\u2014", "_", ".", "undefined", "missing value"))
"""What tables write for "no value", folded; most of it is what pandas and R read as one."""

_TRUTH = frozenset(("true", "false", ".true.", ".false."))
_NUMBER = re.compile(r"[-+\u2212]?\s?(\d[\d\s_,.']*|\.\d+)(e[-+]?\d+)?\s?%?|[-+]?(inf|infinity)")

_SPLITS = {
    "train": ("train", "training", "trainset", "train set", "trainval", "img train"),
    "validation": ("val", "valid", "validation", "valset", "val set", "dev", "eval", "evaluation", "holdout"),
    "test": ("test", "testing", "testset", "test set", "unlabeled", "unlabelled"),
    "": ("images", "image", "imgs", "img", "data", "dataset", "jpegimages"),
}
"""Names that folders bear when they hold a split, or all images, and no category."""

_WNID = re.compile(r"(n\d{8})(?:[\s_.:,\-]+\S.*)?")


def name_kind(name: str) -> str:
    """What a text is if it is no name: "no_value", "number" or "truth"; "" for what may be a name.

    >>> [name_kind(text) for text in ("NaN", "n.a.", " - ", "3.0", "1,000", "٣", "True", "tench", "7 up")]
    ['no_value', 'no_value', 'no_value', 'number', 'number', 'number', 'truth', '', '']
    """
    text = " ".join(name.casefold().split())
    if text in NO_VALUE:
        return "no_value"
    if text in _TRUTH:
        return "truth"
    return "number" if is_number(text) else ""


def is_number(text: str) -> bool:
    """Whether a text is a number as tables write one, whatever its digits, signs, dots and powers of ten.

    >>> [is_number(text) for text in ("-1", "1e5", ".5", "10.0", "50%", "n01440764", "1st", "7 up")]
    [True, True, True, True, True, False, False, False]
    """
    return _NUMBER.fullmatch(text.strip().casefold()) is not None


def leading_wnid(text: str) -> str | None:
    """The WordNet id that a text is or begins with, as folders named for people do; None where it has none.

    >>> leading_wnid("n01440764"), leading_wnid("n01440764_tench"), leading_wnid("n01440764 tench, Tinca tinca")
    ('n01440764', 'n01440764', 'n01440764')
    >>> leading_wnid("n01440764x"), leading_wnid("tench")
    (None, None)
    """
    found = _WNID.fullmatch(text.strip())
    return found[1] if found else None


def names_of_splits(names: Collection[str]) -> bool:
    """Whether folders are splits and not categories: all of them have such names, or train stands beside a test.

    >>> names_of_splits(["train", "val"]), names_of_splits(["train", "bus", "car"]), names_of_splits(["test"])
    (True, False, True)
    >>> names_of_splits(["train", "test", "labels"])
    True
    >>> names_of_splits(["images"]), names_of_splits(["train2017", "val2017"]), names_of_splits([])
    (True, True, False)
    """
    bare = {split_of(name) for name in names}
    if "train" in bare and bare & {"validation", "test"}:
        return True
    return bool(bare) and None not in bare


def split_of(name: str) -> str | None:
    """The split whose name a folder has: "train", "validation", "test", or "" for one around images; else None.

    >>> split_of("Training"), split_of("val2017"), split_of("test_set"), split_of("images"), split_of("bus")
    ('train', 'validation', 'test', '', None)
    """
    text = re.sub(r"[\s_-]*\d*$", "", name.casefold()).replace("_", " ").strip()
    for split, names in _SPLITS.items():
        if text in names:
            return split
    return None
