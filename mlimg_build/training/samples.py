"""The images and labels of one split, as a network wants them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlimg_build.dataset import Dataset
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.images import decode
from mlimg_build.training.targets import SparseLabels

__all__ = ["Samples", "single_labels"]


class Samples:
    """One split of a dataset by row: pixels and labels. It may be pickled; the other side opens the same dataset.

    With `classes`, int32[rows of the split], an image has that one label instead of those of the dataset, and takes no
    part where it is -1.
    """

    def __init__(self, dataset: Dataset, split: str, classes: NDArray[np.int32] | None = None) -> None:
        self.dataset = dataset
        self.split = dataset[split]
        self.classes = classes

    def usable(self) -> list[NDArray[np.bool_]]:
        """For each shard, which of its images have bytes (and a class, where classes were given)."""
        masks = []
        size = self.split.images_per_shard
        for shard in range(self.split.shards):
            spans = self.split.spans("images", shard)
            mask = spans[:, 0] < spans[:, 1]
            if self.classes is not None:
                mask &= self.classes[shard * size : shard * size + len(mask)] >= 0
            masks.append(mask)
        return masks

    def pixels(self, row: int, least: int | None = None) -> Tensor:
        """The image of a row: uint8[3, height, width]; its short side may be as small as `least`.

        Raises:
            DatasetError: `image-undecodable`, where the stored bytes are not what was proved.
        """
        data = self.split.read(row)
        try:
            array = decode(data, least, trusted=True)
        except Exception as error:
            message = (
                f"the image {self.split[row].id!r} (row {row} of {self.split.name}) does not decode: {error}"
            )
            raise DatasetError(Problem("image-undecodable", message, hint="run `mlimg verify`")) from error
        return torch.from_numpy(np.array(array)).permute(2, 0, 1)

    def labels(self, rows: Sequence[int]) -> SparseLabels:
        """What is known about the images of these rows, which count from 0 in the result."""
        if self.classes is not None:
            image = torch.arange(len(rows))
            chosen = torch.from_numpy(self.classes[np.asarray(rows)].astype(np.int64))
            return SparseLabels(image, chosen, torch.ones(len(rows)))
        counts, categories, targets = [], [], []
        for row in rows:
            shard, offset = divmod(row, self.split.images_per_shard)
            start, stop = self.split.spans("labels", shard)[offset].tolist()
            state = self.split.column("labels/state", shard)[start:stop]
            confidence = self.split.column("labels/confidence", shard)[start:stop]
            counts.append(stop - start)
            categories.append(self.split.column("labels/category", shard)[start:stop])
            targets.append(np.where(state > 0, confidence, np.float32(0)))
        image = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(counts, dtype=torch.int64))
        category = np.concatenate([*categories, np.zeros(0, np.int32)]).astype(np.int64)
        target = np.concatenate([*targets, np.zeros(0, np.float32)]).astype(np.float32)
        return SparseLabels(image, torch.from_numpy(category), torch.from_numpy(target))

    def ids(self, rows: Sequence[int]) -> list[str]:
        """The ids of these rows."""
        return [self.split[row].id for row in rows]


def single_labels(dataset: Dataset, split: str, source: str | None) -> NDArray[np.int32]:
    """The one category that is stated present of each image of a split: int32[rows], indices of categories.

    -1 where an image is not of `source` (None: of any), or is stated to show no category or more than one.
    """
    part = dataset[split]
    code = None if source is None else dataset.sources.index(source)
    stated = dataset.rules.index("stated")
    found = np.full(len(part), -1, np.int32)
    for shard in range(part.shards):
        spans = part.spans("labels", shard).astype(np.int64)
        counts = spans[:, 1] - spans[:, 0]
        entry = np.arange(int(counts.sum()))
        owner = np.repeat(np.arange(len(spans)), counts)
        column = {
            name: part.column(f"labels/{name}", shard)[: len(entry)] for name in ("state", "rule", "category")
        }
        wanted = (column["state"] > 0) & (column["rule"] == stated)
        if code is not None:
            wanted &= part.column("labels/source", shard)[: len(entry)] == code
            wanted &= part.column("images/source", shard)[owner] == code
        number = np.bincount(owner[wanted], minlength=len(spans))
        one = np.full(len(spans), -1, np.int32)
        one[owner[wanted]] = column["category"][wanted]
        first = shard * part.images_per_shard
        found[first : first + len(spans)] = np.where(number == 1, one, -1)
    return found
