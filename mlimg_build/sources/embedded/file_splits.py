"""The splits that the names of files tell: `train-00000-of-00012.parquet`, `data/validation/0.parquet`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_splits import code_of, require_places
from mlimg_build.sources.protocol import DRAWN
from mlimg_build.spec import listed

__all__ = ["name_of_split", "splits_of_files"]

WORDS = (
    *("train", "training", "val", "valid", "validation", "dev", "test", "testing"),
    *("eval", "evaluation", "holdout"),
)
BEHIND = r"(?:$|[\W_]|(?<=[a-z])(?=\d))"  # a name of a split ends where a word does, or a number follows
SHOWN = 5


def name_of_split(path: str, names: Collection[str] = ()) -> str:
    """Return the split that the name of a file begins with, or that one of its folders is called; "" if none.

    The words that everybody uses are known, and those in `names`.

    >>> name_of_split("data/train-00000-of-00012.parquet"), name_of_split("default/test/0000.parquet")
    ('train', 'test')
    >>> name_of_split("trainings.parquet"), name_of_split("unseen_1.parquet", ["unseen"])
    ('', 'unseen')
    """
    given = PurePosixPath(path)
    for text in (given.stem, *reversed(given.parts[:-1])):
        for name in sorted({*WORDS, *names}, key=len, reverse=True):
            found = re.match(f"{re.escape(name)}{BEHIND}", text, re.IGNORECASE)
            if found:
                return name if name in names else text[: len(name)]
    return ""


def splits_of_files(source: str, paths: Sequence[str], splits: Mapping[str, str]) -> list[int]:
    """Return the split of each file, a position in `SPLITS`, `LEFT_OUT`, or `DRAWN` if the names tell no two splits.

    Raises:
        SourceError: `split-unplaced` if nothing says where one goes, `split-missing` if no file is of one of `splits`.
    """
    found = [name_of_split(path, splits) for path in paths]
    absent = [name for name in splits if name not in found]
    if absent:
        there = sorted(set(found) - {""})
        hint = (
            f"their names tell of {listed(there[:SHOWN], 'and')}" if there else "their names tell of no split"
        )
        message = f"source {source}: no file is of the split {absent[0]}, such as {absent[0]}-00000.parquet"
        raise SourceError(Problem("split-missing", message, hint=hint))
    if not splits and len(set(found)) < 2:
        return [DRAWN] * len(paths)
    codes: list[int] = []
    without: dict[str, int] = {}
    for path, name in zip(paths, found, strict=True):
        code = code_of(name, splits) if name else None
        if code is None:
            without[name or PurePosixPath(path).stem] = 0
        codes.append(DRAWN if code is None else code)
    require_places(source, without)
    return codes
