"""The values that a caller passes to the writers: one image, and tables of labels, categories and mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.dataset.format.layout import COPIES, Column
from mlimg_build.dataset.format.text import pack
from mlimg_build.errors import DatasetError, Problem

__all__ = [
    "CategoryColumns",
    "ContradictionColumns",
    "CopyTables",
    "ImagesResult",
    "LabelColumns",
    "MappingColumns",
    "PairColumns",
    "ShardOutput",
    "StoredImage",
    "column_arrays",
    "copy_arrays",
]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One row of a split. A failed image has no bytes and a digest of zeros; its `status` says why.

    `source`, `status` and `licence` are indices into the dataset's tables; `digest` is the sha256 of `data`.
    """

    id: str
    source: int
    status: int
    data: bytes
    height: int
    width: int
    digest: bytes
    licence: int
    author: str
    source_digest: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class ImagesResult:
    """The contents of an image artefact: content digest (hex), images, bytes of data, images by status code."""

    digest: str
    images: int
    bytes: int
    statuses: dict[int, int]


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """The labels of one shard: image *i* owns the next `counts[i]` entries of every other column.

    `state` is +1 or -1; `category` and `via` index the categories, `mapping` the mappings (-1: none), `rule`
    and `source` the dataset's tables; `record` is the row of the source's own label list.
    """

    counts: NDArray[np.int64]
    category: NDArray[np.int32]
    state: NDArray[np.int8]
    confidence: NDArray[np.float32]
    rule: NDArray[np.uint8]
    via: NDArray[np.int32]
    source: NDArray[np.uint16]
    mapping: NDArray[np.int32]
    record: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ContradictionColumns:
    """The contradictions of one shard: *absent* contradicts what *present* implies.

    `confidence` is that of the presence. `kept` is +1 if the presence was kept, -1 if the absence was kept, 0 if
    neither was.
    """

    counts: NDArray[np.int64]
    absent: NDArray[np.int32]
    present: NDArray[np.int32]
    absent_mapping: NDArray[np.int32]
    present_mapping: NDArray[np.int32]
    absent_record: NDArray[np.int64]
    present_record: NDArray[np.int64]
    confidence: NDArray[np.float32]
    kept: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class CategoryColumns:
    """The categories: the parents of *i* are `parent_index[parent_start[i]:parent_start[i + 1]]`.

    `positives` and `negatives` count images; `parent_start` has one value more than there are categories.
    """

    wnid: Sequence[str]
    name: Sequence[str]
    parent_start: NDArray[np.int64]
    parent_index: NDArray[np.int32]
    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MappingColumns:
    """One row per source category: the category it is mapped to (-1: none), by which method, with what evidence.

    `source` indexes the table `sources`, `method` the table `methods`, `fate` the table `fates`, `relation` the table
    `relations`. `synset` is the synset that the name was resolved to, `joined` the one that joins made of that ("" for
    none); `narrower` is 1 if the source category lies below its category, so that its absence implies nothing.
    """

    source: NDArray[np.uint16]
    id: Sequence[str]
    name: Sequence[str]
    category: NDArray[np.int32]
    method: NDArray[np.uint8]
    score: NDArray[np.float32]
    narrower: NDArray[np.uint8]
    fate: NDArray[np.uint8]
    relation: NDArray[np.uint8]
    synset: Sequence[str]
    joined: Sequence[str]
    evidence: Sequence[str]


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Pairs of categories of which one implies the other: counts of images, and the bound that is its confidence."""

    antecedent: NDArray[np.int32]
    consequent: NDArray[np.int32]
    together: NDArray[np.int64]
    images: NDArray[np.int64]
    bound: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CopyTables:
    """Images with the same bytes: the columns of each table of `copies/` by name, as `layout.COPIES` has them.

    `tallies` gives for each split how counting every image once changes its labels: rows (state, rule, source, number
    of labels), negative for labels that are no longer counted.
    """

    groups: Mapping[str, Any] = field(default_factory=dict)
    members: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    contradictions: Mapping[str, Any] = field(default_factory=dict)
    tallies: Mapping[str, Iterable[Sequence[int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardOutput:
    """The two directories that make one shard: `images` from ImagesWriter, `labels` from write_labels."""

    images: Path
    labels: Path


def column_arrays(columns: object, schema: Sequence[Column]) -> list[tuple[str, NDArray[Any]]]:
    """Return every column of `schema`, taken from `columns` by name, in the stored dtype and order.

    Raises:
        DatasetError: `value-out-of-range` if a number does not fit its column.
    """
    return _arrays(lambda name: getattr(columns, name), schema)


def copy_arrays(tables: CopyTables) -> dict[str, list[tuple[str, NDArray[Any]]]]:
    """Return the columns of each table of copies, in the stored dtype and order; empty if there are none.

    Raises:
        DatasetError: `value-out-of-range` if a number does not fit its column.
    """
    return {
        table: _arrays(partial(_or_nothing, getattr(tables, table)), schema)
        for table, schema in COPIES.items()
    }


def _or_nothing(columns: Mapping[str, Any], name: str) -> Any:
    return columns.get(name, ())


def _arrays(given: Callable[[str], Any], schema: Sequence[Column]) -> list[tuple[str, NDArray[Any]]]:
    arrays: list[tuple[str, NDArray[Any]]] = []
    for column in schema:
        if column.text:
            data, stops = pack(given(column.name), column.name)
            arrays += [(column.name, data), (f"{column.name}_stop", stops)]
        elif column.stop_of is None:
            arrays.append((column.name, _stored(given(column.name), column)))
    return arrays


def _stored(values: Any, column: Column) -> NDArray[Any]:
    given = np.asarray(values)
    if given.size == 0:
        return np.zeros(given.shape, column.dtype)
    stored = given.astype(column.dtype, copy=False)
    if stored.dtype.kind != "f" and stored.dtype != given.dtype and not np.array_equal(stored, given):
        message = f"a value of column {column.name} does not fit {np.dtype(column.dtype).name}"
        raise DatasetError(
            Problem("value-out-of-range", message, hint="check the codes and indices handed over")
        )
    return stored
