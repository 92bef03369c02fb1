"""The images and labels of one split, as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from mlimg_build.dataset import Dataset, ReadBuffer, Split
from mlimg_build.errors import DatasetError, DecoderMissing, Problem
from mlimg_build.images import Decoder, OpenImage, decode_crops, open_image
from mlimg_build.training.data.targets import SparseLabels

__all__ = ["Samples", "single_labels"]


class Samples:
    """One split of a dataset by row: pixels and labels. It can be pickled; unpickling opens the same dataset.

    With `classes`, int32[rows of the split], an image has that one label instead of those of the dataset, and is not
    used where it is -1.
    """

    def __init__(self, dataset: Dataset, split: str, classes: NDArray[np.int32] | None = None) -> None:
        self.dataset = dataset
        self.split = dataset[split]
        self.classes = classes

    def usable(self) -> list[NDArray[np.bool_]]:
        """Return for each shard which of its images have bytes (and a class, if classes were given).

        Of images with the same bytes only the counted one is used, in its split.
        """
        masks = []
        for shard in range(self.split.shards):
            spans = self.split.spans("images", shard)
            mask = (spans[:, 0] < spans[:, 1]) & self.split.counted(shard)
            if self.classes is not None:
                mask &= self.classes[self.split.rows(shard).start :][: len(mask)] >= 0
            masks.append(mask)
        return masks

    def open(self, row: int, decoder: Decoder) -> OpenImage:
        """Return the image of a row, of which `crops` decodes a part.

        Raises:
            DatasetError: `image-undecodable` if the stored bytes are not those that were checked when stored.
            DecoderMissing: if the format of the image cannot be decoded here.
        """
        return self.open_all((row,), decoder, ReadBuffer())[0]

    def open_all(self, rows: Sequence[int], decoder: Decoder, buffer: ReadBuffer) -> list[OpenImage]:
        """Return the images of these rows, of which `crops` decodes parts; their files are in `buffer`.

        Raises:
            DatasetError: as `open`.
            DecoderMissing: as `open`.
        """
        opened = []
        for row, data in zip(rows, self.split.read_into(rows, buffer), strict=True):
            with self.explained(row):
                opened.append(open_image(data, decoder, trusted=True))
        return opened

    def crops(
        self,
        rows: Sequence[int],
        images: Sequence[OpenImage],
        boxes: NDArray[np.float64],
        mirrored: NDArray[np.bool_],
        output: NDArray[np.uint8],
        decoder: Decoder,
        *,
        bounded: bool,
    ) -> None:
        """Fill `output` uint8[rows, size, size, 3] as `decode_crops` does; `images` are those of `rows`.

        Raises:
            DatasetError: as `open`.
        """
        try:
            decode_crops(images, boxes, mirrored, output, decoder, bounded=bounded)
        except Exception:  # one of them; each is tried again alone, to name it
            for at, row in enumerate(rows):
                one = slice(at, at + 1)
                with self.explained(row):
                    decode_crops(
                        images[one], boxes[one], mirrored[one], output[one], decoder, bounded=bounded
                    )

    @contextmanager
    def explained(self, row: int) -> Iterator[None]:
        """Turn an error of decoding the image of a row into one that names it."""
        try:
            yield
        except (DecoderMissing, DatasetError):
            raise
        except Exception as error:
            message = (
                f"the image {self.split[row].id!r} (row {row} of {self.split.name}) does not decode: {error}"
            )
            raise DatasetError(Problem("image-undecodable", message, hint="run `mlimg verify`")) from error

    def labels(self, rows: Sequence[int]) -> SparseLabels:
        """Return what is known about the images of these rows and their copies; images count from 0 in the result."""
        if self.classes is not None:
            image = torch.arange(len(rows))
            chosen = torch.from_numpy(self.classes[np.asarray(rows)].astype(np.int64))
            return SparseLabels(image, chosen, torch.ones(len(rows)))
        columns: dict[int, tuple[NDArray[np.int64], ...]] = {}
        parts, counts = [], []
        for row in rows:
            shard, offset = self.split.locate(int(row))
            if shard not in columns:
                named = (
                    self.split.column(f"counted/{name}", shard)
                    for name in ("category", "state", "confidence")
                )
                columns[shard] = (self.split.spans("counted", shard).astype(np.int64), *named)
            spans, *values = columns[shard]
            start, stop = spans[offset]
            counts.append(stop - start)
            parts.append([column[start:stop] for column in values])
        category, state, confidence = (np.concatenate(column) for column in zip(*parts, strict=True))
        target = np.where(state > 0, confidence, np.float32(0)).astype(np.float32)
        owner = np.repeat(np.arange(len(rows)), counts)
        return SparseLabels(*map(torch.from_numpy, (owner, category.astype(np.int64), target)))

    def labels_per_image(self, most: int = 16) -> float:
        """Return the mean number of labels of an image, of at most `most` shards, evenly spread."""
        if self.classes is not None:
            return 1.0
        shards = range(0, self.split.shards, -(-self.split.shards // most) or 1)
        spans = [self.split.spans("counted", shard).astype(np.int64) for shard in shards]
        images = sum(len(one) for one in spans)
        return float(sum((one[:, 1] - one[:, 0]).sum() for one in spans)) / max(images, 1)

    def ids(self, rows: Sequence[int]) -> list[str]:
        """Return the ids of these rows."""
        places = [self.split.locate(row) for row in rows]
        texts = {shard: self.split.texts("images/id", shard) for shard in {shard for shard, _ in places}}
        return [texts[shard][offset] for shard, offset in places]


def single_labels(dataset: Dataset, split: str, source: str | None) -> NDArray[np.int32]:
    """Return the one category that is stated present of each image of a split: int32[rows], indices of categories.

    -1 if an image is not of `source` (None: of any), or is stated to show no category or more than one. Of images with
    the same bytes, the counted one has the categories that are stated of any of them and remain after their labels were
    merged; the others have -1.
    """
    part, copies = dataset[split], dataset.copies
    found = np.full(len(part), -1, np.int32)
    rows, members = copies.within(split, 0, len(part))
    for shard in range(part.shards):
        owner, category = _stated(part, shard, source)
        first = part.rows(shard).start
        number = np.bincount(owner, minlength=len(part.spans("labels", shard)))
        one = np.full(len(number), -1, np.int32)
        one[owner] = category
        found[first : first + len(number)] = np.where(number == 1, one, -1)
    found[rows] = -1
    counts = copies.first[members]
    row_of = dict(zip(copies.group_of[members[counts]].tolist(), rows[counts].tolist(), strict=True))
    for group, categories in _stated_of_copies(dataset, set(row_of), source).items():
        if len(categories) == 1:
            found[row_of[group]] = next(iter(categories))
    return found


def _stated(part: Split, shard: int, source: str | None) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return what a source states present in a shard: the image of each statement, and its category."""
    spans = part.spans("labels", shard).astype(np.int64)
    owner = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
    state, rule, category = (
        part.column(f"labels/{name}", shard)[: len(owner)] for name in ("state", "rule", "category")
    )
    wanted = (state > 0) & (rule == part.dataset.rules.index("stated"))
    if source is not None:
        code = part.dataset.sources.index(source)
        wanted &= part.column("labels/source", shard)[: len(owner)] == code
    return owner[wanted], category[wanted]


def _stated_of_copies(dataset: Dataset, groups: set[int], source: str | None) -> dict[int, set[int]]:
    """Return by group of copies the categories that a source states of any of its images and that remain merged."""
    found: dict[int, set[int]] = {group: set() for group in groups}
    copies = dataset.copies
    if not groups:
        return found
    for name, part in dataset.splits.items():
        for shard in range(part.shards):
            inside = part.rows(shard)
            rows, members = copies.within(name, inside.start, inside.stop)
            of_row = dict(zip((rows - inside.start).tolist(), copies.group_of[members].tolist(), strict=True))
            if of_row.keys() and groups & set(of_row.values()):
                owner, category = _stated(part, shard, source)
                for row, stated in zip(owner.tolist(), category.tolist(), strict=True):
                    if of_row.get(row) in groups:
                        found[of_row[row]].add(stated)
    labels = copies.table(
        "labels"
    )  # of groups whose labels were merged, with those of copies outside the dataset
    present = labels["state"] > 0
    stands = _by_group(dataset, present, groups)
    for group in groups:
        if copies.is_merged(group):
            found[group] &= stands[group]
    stated_here = present & (labels["rule"] == dataset.rules.index("stated"))
    if source is not None:
        stated_here &= labels["source"] == dataset.sources.index(source)
    for group, categories in _by_group(dataset, stated_here, groups).items():
        found[group] |= categories
    return found


def _by_group(dataset: Dataset, chosen: NDArray[np.bool_], groups: set[int]) -> dict[int, set[int]]:
    """Return the categories of the chosen rows of the copies' label table, for each of the groups."""
    labels, found = dataset.copies.table("labels"), {group: set[int]() for group in groups}
    group_of = np.repeat(np.arange(len(dataset.copies)), (labels["stop"] - labels["start"]).astype(np.int64))
    for group, category in zip(group_of[chosen].tolist(), labels["category"][chosen].tolist(), strict=True):
        if group in groups:
            found[group].add(category)
    return found
