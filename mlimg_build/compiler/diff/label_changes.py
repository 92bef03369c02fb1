"""Compare two datasets of the same images label by label: gained, lost, turned or of another origin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlimg_build.compiler.diff.snapshot import COLUMN, COUNTED
from mlimg_build.dataset import Dataset, Split
from mlimg_build.labels import RULES

__all__ = ["Entries", "compare_entries"]

SHOWN = 5  # example images


@dataclass(frozen=True, slots=True)
class Entries:
    """Exact counts of changed labels, compared per image: gained and lost by rule and state, turned, of other origin.

    A label is `turned` if present became absent or the reverse; it has another origin if its confidence, rule, or the
    category that it came through differs. `images` counts the images with any such label, of all `compared`.
    """

    compared: int
    images: int
    gained: dict[str, int]
    lost: dict[str, int]
    turned: int
    other_origin: int
    examples: tuple[str, ...]

    @property
    def different(self) -> bool:
        """Whether any label differs."""
        return self.images > 0


def compare_entries(before: Dataset, after: Dataset) -> Entries | None:
    """Compare the labels of two datasets shard by shard; return None if they do not hold the same images."""
    shapes = [
        {name: split.first_image.tolist() for name, split in dataset.splits.items()}
        for dataset in (before, after)
    ]
    if shapes[0] != shapes[1]:
        return None
    wnids = sorted({*before.categories.wnid, *after.categories.wnid})
    tally = _Tally(wnids)
    for name, old in before.splits.items():
        new = after[name]
        for shard in range(old.shards):
            ids = old.texts("images/id", shard).tolist()
            if ids != new.texts("images/id", shard).tolist():
                return None
            tally.add(ids, _block(before, old, shard, wnids), _block(after, new, shard, wnids))
    return tally.entries()


@dataclass(frozen=True, slots=True)
class _Block:
    """The labels of one shard, sorted by `key` (image and category combined); `column` is a position in `COUNTED`."""

    key: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    confidence: npt.NDArray[np.float32]
    rule: npt.NDArray[np.uint8]
    via: npt.NDArray[np.int64]


def _block(dataset: Dataset, split: Split, shard: int, wnids: list[str]) -> _Block:
    """Return the labels of a shard, with categories numbered as in `wnids`."""
    number = np.searchsorted(wnids, dataset.categories.wnid)
    spans = split.spans("labels", shard).astype(np.int64)
    names = ("category", "state", "confidence", "rule", "via")
    category, state, confidence, rule, via = (split.column(f"labels/{name}", shard) for name in names)
    image = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
    key = image * len(wnids) + number[category]
    order = np.argsort(key)
    columns = np.array([COLUMN[name] for name in dataset.rules], np.int64)
    return _Block(
        key=key[order],
        column=columns[rule, np.where(state > 0, 0, 1)][order],
        present=(state > 0)[order],
        confidence=confidence[order],
        rule=np.array([RULES.index(name) for name in dataset.rules], np.uint8)[rule][order],
        via=number[via][order],
    )


class _Tally:
    def __init__(self, wnids: list[str]) -> None:
        self.n = len(wnids)
        self.compared = self.images = self.turned = self.origin = 0
        self.gained, self.lost = np.zeros(len(COUNTED), np.int64), np.zeros(len(COUNTED), np.int64)
        self.examples: list[str] = []

    def add(self, ids: list[str], old: _Block, new: _Block) -> None:
        """Count the changes of one shard."""
        _, at, to = np.intersect1d(old.key, new.key, assume_unique=True, return_indices=True)
        lost, gained = np.ones(len(old.key), bool), np.ones(len(new.key), bool)
        lost[at], gained[to] = False, False
        turned = old.present[at] != new.present[to]
        other = ~turned & (
            (old.confidence[at] != new.confidence[to])
            | (old.rule[at] != new.rule[to])
            | (old.via[at] != new.via[to])
        )
        touched = np.unique(
            np.concatenate([old.key[lost], new.key[gained], old.key[at[turned | other]]]) // self.n
        )
        self.compared += len(ids)
        self.images += len(touched)
        self.turned += int(turned.sum())
        self.origin += int(other.sum())
        self.lost += np.bincount(old.column[lost], minlength=len(COUNTED))
        self.gained += np.bincount(new.column[gained], minlength=len(COUNTED))
        self.examples += [ids[i] for i in touched[: SHOWN - len(self.examples)].tolist()]

    def entries(self) -> Entries:
        """Return the counts so far."""
        gained, lost = (
            {rule: count for rule, count in zip(COUNTED, counts.tolist(), strict=True) if count}
            for counts in (self.gained, self.lost)
        )
        return Entries(
            compared=self.compared,
            images=self.images,
            gained=gained,
            lost=lost,
            turned=self.turned,
            other_origin=self.origin,
            examples=tuple(self.examples),
        )
