"""The tars that the patterns of a source match, and the splits that their names say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import entries_of, is_hidden, shown
from mlimg_build.sources.image_splits import KNOWN, code_of, require_places
from mlimg_build.sources.protocol import DRAWN
from mlimg_build.spec.path_patterns import lacking, matches

__all__ = ["beside", "matched_tars", "split_of_tar", "split_words", "splits_of_tars"]

TEST = ("test", "testing", "holdout")
PART = r"(?<![0-9A-Za-z]){}(?![0-9A-Za-z])"


def matched_tars(source: str, patterns: Sequence[Path]) -> tuple[Path, ...]:
    """Return the tars that the patterns match, each once, sorted.

    Raises:
        SourceError: `tars-missing` if a pattern matches none, or lacks a number of its braces.
    """
    found: set[str] = set()
    problems = []
    for pattern in patterns:
        try:
            there = matches(pattern)
            why = lacking(pattern, there)
        except (OSError, ValueError) as error:
            hint = "write a pattern that leads to the tars and to nothing else"
            problems.append(Problem("tars-missing", f"source {source}: {error}: {pattern}", hint=hint))
            continue
        if why:
            hint = (
                "get the missing ones, or write a pattern of those that are there"
                if there.paths
                else "correct `tars`"
            )
            problems.append(Problem("tars-missing", f"source {source}: {why}: {pattern.parent}", hint=hint))
        found.update(there.paths)
    if problems:
        raise SourceError(problems)
    return tuple(Path(path) for path in sorted(found))


def beside(tars: Sequence[Path]) -> Iterator[Path]:
    """Yield the files in the folders of the tars that are none of them, but for hidden ones, sorted."""
    known = {str(path) for path in tars}
    for folder in sorted({path.parent for path in tars}):
        for entry in entries_of(folder):
            path = folder / entry.name
            if str(path) not in known and not is_hidden(entry.name) and not entry.is_dir():
                yield path


def splits_of_tars(source: str, names: Sequence[str], splits: Mapping[str, str]) -> list[int]:
    """Return the split of each tar by its path below the root: a position in `SPLITS`, `LEFT_OUT`, or all `DRAWN`.

    Raises:
        SourceError: `split-unplaced` if the name of a tar has no key of `splits` or several, `split-missing` if no
            name has a key.
    """
    if not splits:
        return [DRAWN] * len(names)
    keys = [split_of_tar(name, splits) for name in names]
    doubtful = [
        f"{shown(name)} ({' and '.join(found)})"
        for name, found in zip(names, keys, strict=True)
        if len(found) > 1
    ]
    if doubtful:
        message = f"source {source}: several splits are in the names of tars: {', '.join(doubtful[:3])}"
        hint = (
            "write more of the name in `splits`, such as {train-clean: train}, or take sources of their own"
        )
        raise SourceError(Problem("split-unplaced", message, hint=hint))
    require_places(source, {shown(name): 0 for name, found in zip(names, keys, strict=True) if not found})
    used = {key for found in keys for key in found}
    if unused := [key for key in splits if key not in used]:
        message = f"source {source}: no name of a tar has the split {unused[0]} as a word of its own"
        hint = f"the tars are {', '.join(shown(name) for name in names[:3])}{' …' if len(names) > 3 else ''}"
        raise SourceError(Problem("split-missing", message, hint=hint))
    codes = [code_of(found[0], splits) for found in keys]
    return [DRAWN if code is None else code for code in codes]


def split_of_tar(name: str, splits: Mapping[str, str]) -> list[str]:
    """Return the keys of `splits` that are words of their own in the name of a tar, but for those within longer ones.

    >>> split_of_tar("imagenet1k-train-0001.tar", {"train": "train", "val": "validation"})
    ['train']
    >>> split_of_tar("val/0001.tar", {"train": "train", "val": "validation"})
    ['val']
    >>> split_of_tar("train-clean-01.tar", {"train": "none", "train-clean": "train"})
    ['train-clean']
    """
    found = [key for key in splits if re.search(PART.format(re.escape(key)), name.removesuffix(".tar"))]
    return [key for key in found if not any(key != other and key in other for other in found)]


def split_words(names: Sequence[str]) -> dict[str, int]:
    """Return the usual words of splits that stand in the names of tars, and in how many.

    >>> split_words(["train-00.tar", "train-01.tar", "val-00.tar"])
    {'train': 2, 'val': 1}
    """
    words = {*KNOWN, *TEST}
    found: dict[str, int] = {}
    for name in names:
        for word in {part.casefold() for part in re.split(r"[^0-9A-Za-z]+", name)} & words:
            found[word] = found.get(word, 0) + 1
    return found
