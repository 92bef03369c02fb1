"""The splits that a source itself gives its images: names of folders or values of a column, and what they mean.

A value means what `splits` of the source says, else what its name says beyond doubt (train, training; val, valid,
validation, dev). Any other value is an error that lists all of them: a test set is neither trained on nor measured
because nobody said where it goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlimg_build.errors import Problem, SourceError
from mlimg_build.sources.image_files import entries_of, is_folder, is_hidden, is_text
from mlimg_build.sources.protocol import DRAWN, Notes
from mlimg_build.spec import SPLITS, listed

__all__ = ["LEFT_OUT", "ImageSplits", "SplitFolder", "code_of", "require_places", "split_folders"]

LEFT_OUT = -2
KNOWN = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
MOST = 100  # values without a place, at which a column is none of splits
SHOWN = 5


def code_of(value: str, splits: Mapping[str, str]) -> int | None:
    """Return the position in `SPLITS` that a value means, `LEFT_OUT` or `DRAWN` (an empty one); None if none is said.

    >>> [code_of(value, {"test": "none"}) for value in ("Train", "val", "test", "", "extra")]
    [0, 1, -2, -1, None]
    """
    meant = splits.get(value) or KNOWN.get(value.casefold())
    if meant is None:
        return DRAWN if not value else None
    return LEFT_OUT if meant == "none" else SPLITS.index(meant)


def require_places(source: str, without: Mapping[str, int]) -> None:
    """Raise `SourceError` `split-unplaced` if there are values without a place; `without` counts their images."""
    if not without:
        return
    first = [*without.items()][:SHOWN]
    named = [f"{value} ({count:,} images)" if count else value for value, count in first]
    more = f" and {len(without) - SHOWN:,} more" if len(without) > SHOWN else ""
    raise SourceError(
        Problem(
            "split-unplaced",
            f"source {source}: nothing says where these splits go: {', '.join(named)}{more}",
            hint=f"say it in source {source}, such as `splits: {{{next(iter(without))}: validation}}`: "
            f"{', '.join(SPLITS)}, or none to leave them out",
        )
    )


class SplitFolder(NamedTuple):
    """A folder that holds those of the categories: its path below the root with a slash ("" for the root itself)."""

    prefix: str
    split: int


def split_folders(source: str, root: Path, splits: Mapping[str, str]) -> list[SplitFolder]:
    """Return the folders that hold the folders of categories: the root, or with `splits` one of each split.

    Raises:
        SourceError: `split-missing` if one of `splits` is no folder, `split-unplaced` if there are other folders.
    """
    if not splits:
        return [SplitFolder("", DRAWN)]
    there = [entry.name for entry in entries_of(root) if not is_hidden(entry.name) and is_folder(entry)]
    absent = [name for name in splits if name not in there]
    if absent:
        message = f"source {source}: there is no folder {absent[0]} in {root}"
        hint = f"the folders there: {listed(there[:SHOWN], 'and')}" if there else "the folder is empty"
        raise SourceError(Problem("split-missing", message, hint=hint))
    require_places(source, {name: 0 for name in there if name not in splits and is_text(name)})
    codes = {name: LEFT_OUT if place == "none" else SPLITS.index(place) for name, place in splits.items()}
    return [SplitFolder(f"{name}/", codes[name]) for name in sorted(codes)]


class ImageSplits:
    """Turns the values of a column into splits, and counts those that have no place."""

    def __init__(self, source: str, splits: Mapping[str, str], notes: Notes) -> None:
        self._source, self._splits, self._notes = source, splits, notes
        self._without: Counter[str] = Counter()

    def of(self, values: pa.Array) -> npt.NDArray[np.int8]:
        """Return int8[rows]: the split of each value (text, trimmed), `DRAWN` or `LEFT_OUT`; those are noted.

        Raises:
            SourceError: `split-unplaced` if the values are so many that they are no splits.
        """
        coded = values.dictionary_encode()
        counts = np.bincount(coded.indices.to_numpy(), minlength=len(coded.dictionary))
        code = np.full(len(coded.dictionary), DRAWN, np.int8)
        for i, value in enumerate(coded.dictionary.to_pylist()):
            meant = code_of(value, self._splits)
            if meant is None:
                self._without[value] += int(counts[i])
            elif meant == LEFT_OUT:
                self._notes.add("split-left-out", value, int(counts[i]))
            elif meant == DRAWN:
                self._notes.add("row-without-split", "", int(counts[i]))
            code[i] = DRAWN if meant is None else meant
        if len(self._without) > MOST:
            self.finish()
        return np.asarray(code[coded.indices.to_numpy()])

    def finish(self) -> None:
        """Raise `SourceError` `split-unplaced` if a value had no place."""
        require_places(self._source, dict(self._without.most_common()))
