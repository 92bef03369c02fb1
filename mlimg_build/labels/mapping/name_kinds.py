"""Recognise texts that are no names: words for a missing value, numbers, truth values, names of splits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from mlimg_build.missing_values import NO_VALUE

__all__ = ["is_number", "name_kind", "names_of_splits", "split_of"]

_TRUTH = frozenset(("true", "false", ".true.", ".false.", "yes", "no"))
_NO_THING = frozenset(
    (
        "background",
        "foreground",
        "other",
        "others",
        "unknown",
        "misc",
        "miscellaneous",
        "void",
        "empty",
        "nothing",
    )
).union(
    (
        "normal",
        "abnormal",
        "positive",
        "negative",
        "pos",
        "neg",
        "good",
        "bad",
        "valid",
        "invalid",
        "ok",
        "nok",
    ),
    (
        "reject",
        "ignore",
        "ignored",
        "unlabeled",
        "unlabelled",
        "unclassified",
        "dontcare",
        "don't care",
        "no finding",
    ),
)
"""Labels of what an image is not, or how it was judged: WordNet has nouns for most, with other meanings."""

_ONE = r"[-+\u2212]?\s?(?:\d[\d\s_,.']*|\.\d+)(?:e[-+]?\d+)?\s?%?"
_RANGE = r"\s?(?:-|\u2010|\u2011|\u2012|\u2013|\u2014|\u2212|to|/|:|;|\.\.)\s?"
_NUMBER = re.compile(
    rf"(?:[<>\u2264\u2265=~]=?\s?)?[(\[{{'\"]?{_ONE}(?:{_RANGE}{_ONE})*[-+]?[)\]}}'\"]?"
    r"|[-+]?(?:inf|infinity)|x{0,3}(?:ix|iv|v?i{2,3}|vi|xi|xv|xx)"
)
"""A number, a range of them (0-2, 18 to 24, 60+, <5), or a Roman one of more than a letter, up to forty."""

_SPLITS = {
    "train": ("train", "training", "trainval"),
    "validation": ("val", "valid", "validation", "dev", "eval", "evaluation", "holdout"),
    "test": ("test", "testing", "unlabeled", "unlabelled"),
    "": ("images", "image", "imgs", "img", "data", "dataset", "jpegimages"),
}
"""Names of folders that hold a split, or all images, and no category."""

_HOLDS = re.compile(
    r" ?(?:sets?|images?|imgs?|pictures?|photos?|data|dataset|splits?|folder)$|^(?:images?|imgs?) "
)
"""Words beside a split's name that mean nothing: train images, test_set, img train."""


def name_kind(name: str) -> str:
    """Return what a text is if it is no name: "no_value", "number", "truth" or "no_thing"; "" for a possible name.

    >>> [name_kind(text) for text in ("NaN", "n.a.", " - ", "3.0", "1,000", "٣", "①", "True", "tench", "7 up")]
    ['no_value', 'no_value', 'no_value', 'number', 'number', 'number', 'number', 'truth', '', '']
    >>> [name_kind(text) for text in ("__background__", "Normal", "no finding", "normal school")]
    ['no_thing', 'no_thing', 'no_thing', '']
    """
    text = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
    if text in NO_VALUE:
        return "no_value"
    if text in _TRUTH:
        return "truth"
    if text.strip("_ ").replace("_", " ") in _NO_THING:
        return "no_thing"
    return "number" if is_number(text) else ""


def is_number(text: str) -> bool:
    """Return whether a text is a number as tables write it, with any digits, signs, dots and powers of ten.

    >>> [is_number(text) for text in ("-1", "1e5", ".5", "10.0", "50%", "n01440764", "1st", "7 up")]
    [True, True, True, True, True, False, False, False]
    >>> [is_number(text) for text in ("0-2", "(25, 32)", "60+", "<5", "VII", "'3'", "I", "MD", "1-up", "six")]
    [True, True, True, True, True, True, False, False, False, False]
    """
    return _NUMBER.fullmatch(text.strip().casefold()) is not None


def names_of_splits(names: Collection[str]) -> bool:
    """Return whether folders are splits and not categories: all have such names, or train is beside a test.

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
    """Return the split whose name a folder has: "train", "validation", "test", "" for one around images; else None.

    >>> split_of("Training"), split_of("val2017"), split_of("test_set"), split_of("images"), split_of("bus")
    ('train', 'validation', 'test', '', None)
    >>> split_of("train-images"), split_of("valset"), split_of("img_train"), split_of("data set"), split_of("set")
    ('train', 'validation', 'train', '', None)
    """
    text = re.sub(r"[\s_-]+", " ", re.sub(r"[\s_-]*\d*$", "", name.casefold())).strip()
    for form in (text, _HOLDS.sub("", text)):
        for split, names in _SPLITS.items():
            if form in names:
                return split
    return None
