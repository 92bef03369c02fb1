"""Derive the labels of images with copies again: they must follow from the statements about all of the copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from mlimg_build.dataset import CopyGroup, Dataset, Label
from mlimg_build.labels import FLAWS, STATED, Hierarchy, LabelTable, Pairs, Rules, prove

__all__ = ["copy_flaws"]

Flaw = tuple[str, str, str]
"""A code, a sentence, and the id of the image."""


def copy_flaws(
    dataset: Dataset,
    hierarchy: Hierarchy,
    category_of: npt.NDArray[np.int32],
    rules: Rules,
    pairs: Pairs,
    add_to: Sequence[int],
) -> Iterator[Flaw]:
    """Yield what is wrong with the merged labels of images with copies.

    They are checked as the labels of shards are (`prove`). A label rests on a statement about the member that it names;
    a stated label of a copy is also one of the counted image, or contradicts one. Copies outside the dataset cannot be
    checked, nor statements that a stronger one about the same category hides in the shard of a copy.
    """
    copies = dataset.copies
    columns = copies.table("labels")
    count = (columns["stop"] - columns["start"]).astype(np.int64)
    names = [field.name for field in fields(LabelTable) if field.name != "image"]
    table = LabelTable(
        image=np.repeat(np.arange(len(copies)), count), **{name: columns[name] for name in names}
    )
    heard = np.zeros(len(copies), np.bool_)
    heard[copies.group_of[np.isin(copies.table("members")["source"], add_to)]] = True
    for row, code in prove(table, hierarchy, category_of, rules, pairs, heard):
        name = _name(dataset, int(table.category[row]))
        yield f"label-{code}", f"{name}: {FLAWS[code]}", copies[int(table.image[row])].ids[0]
    for group in copies:
        if group.places[0] is not None:
            yield from _flaws_of(dataset, group, group.places[0])


def _flaws_of(dataset: Dataset, group: CopyGroup, place: tuple[str, int]) -> Iterator[Flaw]:
    split, row = place
    together = dataset[split].labels(row)
    clashes = dataset[split].contradictions(row)
    known = {(label.category, label.state) for label in together}
    doubted = {(clash.absent, -1) for clash in clashes} | {(clash.present, 1) for clash in clashes}
    for member, where in zip(group.ids, group.places, strict=True):
        if where is None:
            continue
        own = dataset[where[0]].own_labels(where[1])
        for label in own:
            said = (label.category, label.state)
            if label.rule == dataset.rules[STATED] and said not in known and said not in doubted:
                message = f"{label.name} is stated of its copy {member}, and is not among its labels"
                yield "copy-label-missing", message, group.ids[0]
        statements, hides = _statements(dataset, where, own), {label.category for label in own}
        for label in together:
            if (
                label.member != member or label.category in hides
            ):  # a stronger statement hides it in that shard
                continue
            if (label.mapping, label.record) not in statements:
                message = (
                    f"{label.name} is said to rest on a statement about {member}, which has none like it"
                )
                yield "copy-label-unfounded", message, group.ids[0]


def _statements(dataset: Dataset, place: tuple[str, int], own: Sequence[Label]) -> set[tuple[int, int]]:
    """Return the source category and the record of each statement about an image that its shard names."""
    found = {(label.mapping, label.record) for label in own}
    columns = dataset[place[0]]
    shard, offset = columns.locate(place[1])
    start, stop = columns.spans("contradictions", shard)[offset].tolist()
    for side in ("absent", "present"):
        mapping, record = (
            columns.column(f"contradictions/{side}_{name}", shard)[start:stop].tolist()
            for name in ("mapping", "record")
        )
        found |= set(zip(mapping, record, strict=True))
    return found


def _name(dataset: Dataset, category: int) -> str:
    names = dataset.categories.names
    return names[category] if 0 <= category < len(names) else f"category {category}"
