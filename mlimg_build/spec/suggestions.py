"""Suggest what a word with a typo, or a path that leads to nothing, was probably meant to be."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from mlimg_build.spec.path_patterns import MAGIC

__all__ = ["did_you_mean", "listed", "nearest", "similar_path"]

COMPARED = 500  # choices that a word is compared with
ENTRIES = 20_000  # entries of a folder that are compared
LONGEST = 200  # letters of a word that are compared
MEANT = {
    **dict.fromkeys(("gpu", "nvidia", "cuda:0"), ("cuda",)),
    **dict.fromkeys(("val", "valid", "dev"), ("validation",)),
    **dict.fromkeys(("path", "paths", "root", "dir", "folder", "data"), ("images", "files", "table")),
    **dict.fromkeys(("csv", "tsv", "csvs"), ("table", "labels")),
    **dict.fromkeys(("imagefolder", "image_folder", "directory"), ("folder",)),
    **dict.fromkeys(("wds", "web_dataset", "tar", "tars"), ("webdataset",)),
    **dict.fromkeys(("imagenet_val", "imagenet_validation", "ilsvrc2012"), ("ilsvrc",)),
    **dict.fromkeys(("tencent", "tencent_ml_images"), ("ml_images",)),
    **dict.fromkeys(("float32", "32"), ("fp32",)),
    **dict.fromkeys(("bfloat16", "fp16", "float16", "16", "amp"), ("bf16",)),
    **dict.fromkeys(("lr", "rate"), ("learning_rate",)),
    **dict.fromkeys(("backbone", "arch", "architecture", "network"), ("model",)),
}
"""Words of other tools, and the words here; those that are no choice where they are written do not count."""
NAMED = 40  # words of a list that are written out


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice most similar to `word`, or None if none is similar; case, `-` and `_` make no difference.

    >>> nearest("imges", ["images", "labels"])
    'images'
    >>> nearest("Open-Images", ["open_images", "imagenet"])
    'open_images'
    >>> nearest("gpu", ["auto", "cpu", "cuda"])
    'cuda'
    >>> nearest("zebra", ["images", "labels"]) is None
    True
    """
    plain: dict[str, str] = {}
    for choice in sorted(choices):
        plain.setdefault(_plain(choice), choice)
    asked = _plain(word)[:LONGEST]
    if asked in plain:
        return plain[asked]
    for meant in MEANT.get(asked, ()):
        if meant in plain:
            return plain[meant]
    likely: Iterable[str] = plain
    if len(plain) > COMPARED:  # each comparison takes longer than the look at the others
        likely = [choice for choice in plain if choice[:1] == asked[:1] and abs(len(choice) - len(asked)) < 3]
    found = get_close_matches(asked, islice(likely, COMPARED), n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def listed(words: Iterable[str], last: str = "and") -> str:
    """Return the words as a list in a sentence; of very many, the first.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    *first, final = list(words)
    if len(first) >= NAMED:
        return f"{', '.join(first[:NAMED])} {last} {len(first) + 1 - NAMED:,} more"
    return f"{', '.join(first)} {last} {final}" if first else final


def _plain(word: str) -> str:
    return word.lower().replace("-", "_")


def similar_path(path: Path, *, folder: bool | None = None) -> Path | None:
    """Return the path that is there and most like one that is not; None if there is none.

    The first part that is not there is replaced by the most similar name beside it, and what follows is kept if that
    leads on. `folder` says whether the path is to be that of a folder (True) or of a file (False).
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  no link is followed
    missing = next((one for one in (*reversed(path.parents), path) if not _is_there(one)), None)
    if missing is None or MAGIC.search(missing.name):
        return None
    last = missing == path
    wanted = folder if last else True
    found = nearest(missing.name, _names(missing.parent, wanted, hidden=missing.name.startswith(".")))
    if found is None:
        return None
    rest = path.relative_to(missing)
    whole = missing.parent / found / rest
    return whole if last or MAGIC.search(str(rest)) or _is_there(whole) else missing.parent / found


def did_you_mean(path: Path, *, folder: bool | None = None) -> str:
    """Return "did you mean NAME? " for a path that leads to nothing; "" if nothing is similar.

    It is the name alone if the folder around it is right, else the path.
    """
    found = similar_path(path, folder=folder)
    if found is None:
        return ""
    beside = found.parent == Path(os.path.abspath(path)).parent  # noqa: PTH100
    return f"did you mean {found.name if beside else found}? "


def _names(folder: Path, wanted: bool | None, *, hidden: bool) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [
                entry.name
                for entry in islice(entries, ENTRIES)
                if entry.name.startswith(".") == hidden and (wanted is None or entry.is_dir() == wanted)
            ]
    except OSError:
        return []


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
