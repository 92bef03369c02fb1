"""Assemble a dataset from artefacts: their chunks become its rows (images by hard links), and metadata is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlimg_build.atomic import explaining_full_disk, replacing
from mlimg_build.dataset.format.attribute_schema import root_flaws
from mlimg_build.dataset.format.column_types import (
    CategoryColumns,
    CopyTables,
    MappingColumns,
    PairColumns,
    ShardOutput,
    column_arrays,
    copy_arrays,
)
from mlimg_build.dataset.format.counts import counted_once, skipped_images, split_counts
from mlimg_build.dataset.format.digests import (
    attributes_digest,
    columns_digest,
    copies_digest,
    dataset_digest,
)
from mlimg_build.dataset.format.layout import (
    CATEGORY_COLUMNS,
    CONTRADICTION_COLUMNS,
    COPIES,
    ENTRIES_PER_CHUNK,
    FORMAT,
    LABEL_COLUMNS,
    MAPPING_COLUMNS,
    MOST_ATTRIBUTES,
    PAIR_COLUMNS,
    SHARD_COLUMNS,
    SPAN_COLUMNS,
    TABLE_AXES,
    Column,
    Layout,
    image_columns,
)
from mlimg_build.dataset.format.value_ranges import table_flaw
from mlimg_build.dataset.write.arrays import (
    create_columns,
    create_data,
    create_group,
    create_ragged,
    create_table,
)
from mlimg_build.dataset.write.packed_arrays import PACK, unpack_chunks
from mlimg_build.dataset.write.shard_writer import layout_record, read_result
from mlimg_build.errors import DatasetError, Problem
from mlimg_build.regular_files import read_object

__all__ = ["assemble"]

Shard = tuple[ShardOutput, dict[str, Any], dict[str, Any]]


def assemble(
    path: Path,
    *,
    layout: Layout,
    splits: Mapping[str, Sequence[ShardOutput]],
    categories: CategoryColumns,
    mappings: MappingColumns,
    pairs: PairColumns,
    attributes: dict[str, Any],
    tables: dict[str, list[str]],
    copies: CopyTables | None = None,
) -> str:
    """Write the dataset of these shards to `path`, complete and on the disk; return its digest (hex).

    Chunk files of images are hard links to the artefacts' (copies across file systems). A dataset at `path` is replaced
    in one rename and only when the new one is complete; after any failure it is unchanged and nothing is left over.
    `attributes` are added to those of the root; `tables` gives the names of the codes: `rules`, `sources`, `licences`,
    `statuses`, `methods`, `fates`, `relations`. `copies` lists images with the same bytes, so that they count once.

    Raises:
        DatasetError: `not-replaceable` if `path` is not a dataset, `artefact-unfinished`, `artefact-damaged`,
            `artefact-mismatch`, `code-unknown`, `images-unordered`, `value-out-of-range`, `text-has-zero`,
            `text-too-long`, `attributes-invalid`, `attributes-too-long`, `disk-full`.
    """
    path = Path(path).absolute()
    ensure_replaceable(path)
    shards = {name: [_load(pair, layout) for pair in pairs] for name, pairs in splits.items()}
    for name, rows in shards.items():
        _check_order(name, rows)
    _check_codes(shards, mappings, tables)
    category_arrays = column_arrays(categories, CATEGORY_COLUMNS)
    mapping_arrays = column_arrays(mappings, MAPPING_COLUMNS)
    pair_arrays = column_arrays(pairs, PAIR_COLUMNS)
    copies = copies or CopyTables()
    copied = copy_arrays(copies)
    sizes = {name: len(names) for name, names in tables.items()} | {
        "categories": len(categories.positives),
        "mappings": len(mappings.category),
        "splits": len(splits),
        "members": len(dict(copied["members"])["row"]),
    }
    _check_values({"categories": (CATEGORY_COLUMNS, category_arrays)}, sizes)
    _check_values(
        {"mappings": (MAPPING_COLUMNS, mapping_arrays), "pairs": (PAIR_COLUMNS, pair_arrays)}, sizes
    )
    _check_values({name: (COPIES[name], arrays) for name, arrays in copied.items()}, sizes)
    digest = dataset_digest(
        tables=tables,
        categories=columns_digest(category_arrays),
        mappings=columns_digest(mapping_arrays),
        pairs=columns_digest(pair_arrays),
        copies=copies_digest(copied),
        splits={
            name: (
                layout.images_per_shard,
                [(images["digest"], labels["digest"]) for _, images, labels in rows],
            )
            for name, rows in shards.items()
        },
    )
    skipped = skipped_images(dict(copied["groups"]), dict(copied["members"]))
    record: dict[str, Any] = {
        **attributes,
        "format": FORMAT,
        "digest": digest,
        "layout": layout_record(layout),
        "tables": tables,
        "splits": list(shards),
        "counts": {
            name: _counts(rows, tables, copies.tallies.get(name, ()), skipped.get(number, 0))
            for number, (name, rows) in enumerate(shards.items())
        },
    }
    _check_attributes(record, path)
    with explaining_full_disk(path), replacing(path) as root:
        create_table(root / "categories", CATEGORY_COLUMNS, category_arrays, TABLE_AXES["categories"])
        create_table(root / "mappings", MAPPING_COLUMNS, mapping_arrays, TABLE_AXES["mappings"])
        create_table(root / "pairs", PAIR_COLUMNS, pair_arrays, TABLE_AXES["pairs"])
        create_group(root / "copies")
        for name, arrays in copied.items():
            create_table(root / "copies" / name, COPIES[name], arrays, TABLE_AXES[f"copies/{name}"])
        for name, rows in shards.items():
            _write_split(root / name, rows, layout)
        # the root comes last: without it a directory is not a dataset
        create_group(root, record | {"attributes_digest": attributes_digest(record)})
    return digest


def _counts(
    rows: Sequence[Shard], tables: dict[str, list[str]], changed: Iterable[Sequence[int]], skipped: int
) -> dict[str, Any]:
    counts = split_counts([images for _, images, _ in rows], [labels for *_, labels in rows], tables)
    tallies = [*(labels["tally"] for *_, labels in rows), changed]
    return counts | {"counted": counted_once(counts["images"] - skipped, tallies, tables)}


def _load(pair: ShardOutput, layout: Layout) -> Shard:
    images, labels = read_result(Path(pair.images), "images"), read_result(Path(pair.labels), "labels")
    if images["layout"] != layout_record(layout) or labels["layout"] != layout_record(layout):
        message = f"{pair.images} or {pair.labels} was written with another layout"
        raise DatasetError(Problem("artefact-mismatch", message, hint="write the artefacts again"))
    if images["images"] != labels["images"]:
        message = (
            f"{pair.images} has {images['images']} images and {pair.labels} labels for {labels['images']}"
        )
        raise DatasetError(
            Problem("artefact-mismatch", message, hint="write both from the same list of images")
        )
    return pair, images, labels


def _check_order(split: str, rows: Sequence[Shard]) -> None:
    last = ""
    for number, (_, images, _) in enumerate(rows):
        if images["first"] <= last:
            message = (
                f"shard {number} of {split} does not follow the one before it in the order of sha256(id)"
            )
            hint = "hand over the shards of a split in order, with each image once"
            raise DatasetError(Problem("images-unordered", message, hint=hint))
        last = images["last"]


def _check_codes(
    shards: Mapping[str, Sequence[Shard]], mappings: MappingColumns, tables: dict[str, list[str]]
) -> None:
    highest = {
        "sources": int(np.max(np.asarray(mappings.source, np.int64), initial=-1)),
        "methods": int(np.max(np.asarray(mappings.method, np.int64), initial=-1)),
        "fates": int(np.max(np.asarray(mappings.fate, np.int64), initial=-1)),
        "relations": int(np.max(np.asarray(mappings.relation, np.int64), initial=-1)),
    }
    for rows in shards.values():
        for _, images, labels in rows:
            for table in ("statuses", "sources", "licences"):
                highest[table] = max(highest.get(table, -1), *map(int, images[table]))
            for _, rule, source, _ in labels["tally"]:
                highest["rules"] = max(highest.get("rules", -1), rule)
                highest["sources"] = max(highest["sources"], source)
    for table, code in highest.items():
        names = tables.get(table, [])
        if code >= len(names):
            message = f"code {code} has no name: table {table} has {len(names)} names"
            raise DatasetError(Problem("code-unknown", message, hint=f"hand over the whole table {table}"))


def _check_values(
    tables: Mapping[str, tuple[tuple[Column, ...], list[tuple[str, NDArray[Any]]]]], sizes: Mapping[str, int]
) -> None:
    """Raises `DatasetError` `value-out-of-range` for what no reader would accept."""
    for name, (schema, arrays) in tables.items():
        if flaw := table_flaw(name, schema, dict(arrays), sizes.get):
            hint = "check the codes, indices and shares handed over"
            raise DatasetError(Problem("value-out-of-range", flaw, hint=hint))


def _check_attributes(record: dict[str, Any], path: Path) -> None:
    """Raises `DatasetError` for attributes with which no reader would open the dataset."""
    try:
        size = len(json.dumps(record, allow_nan=False))
        flaws = root_flaws(record | {"attributes_digest": attributes_digest(record)})
    except (TypeError, ValueError) as error:
        size, flaws = 0, [f"they are no JSON: {error}"]
    if flaws:
        hint = "give other values, or other names to attributes of your own"
        problems = [
            Problem("attributes-invalid", f"the attributes of {path}: {one}", hint=hint) for one in flaws
        ]
        raise DatasetError(problems)
    if size > MOST_ATTRIBUTES // 2:  # Zarr indents them
        message = f"the attributes of {path} take {size:,} bytes, and no reader would open it"
        raise DatasetError(
            Problem("attributes-too-long", message, hint="give fewer licences, which they list")
        )


def _write_split(group: Path, rows: Sequence[Shard], layout: Layout) -> None:
    sizes = np.array([images["images"] for _, images, _ in rows], "<i8")
    first_image = np.concatenate([np.zeros(1, "<i8"), np.cumsum(sizes)])
    per_shard = layout.images_per_shard
    attributes = {"images_per_shard": per_shard, "images": int(first_image[-1]), "shards": len(rows)}
    create_group(group, attributes)
    # a shard is a chunk of these arrays, so unused positions of a partly filled one in the middle stay empty
    positions = (len(rows) - 1) * per_shard + int(sizes[-1]) if len(rows) else 0
    create_group(group / "images")
    width = max((images["length"] for _, images, _ in rows), default=0)
    create_data(group / "images", (len(rows), width), layout)
    schema = image_columns(layout)
    texts = {
        column.name: (len(rows), max((images["texts"][column.name] for _, images, _ in rows), default=0))
        for column in schema
        if column.text
    }
    create_columns(group / "images", schema, positions, per_shard, texts)
    for name, ragged in (("labels", LABEL_COLUMNS), ("contradictions", CONTRADICTION_COLUMNS)):
        create_group(group / name)
        create_columns(group / name, SPAN_COLUMNS, positions, per_shard, {})
        width = max((labels["widths"][name] for *_, labels in rows), default=0)
        create_ragged(group / name, ragged, (len(rows), width), ENTRIES_PER_CHUNK[name])
    table: list[tuple[str, NDArray[Any]]] = [
        ("images_digest", _digests([images["digest"] for _, images, _ in rows])),
        ("labels_digest", _digests([labels["digest"] for *_, labels in rows])),
        ("images", sizes),
        ("bytes", np.array([images["length"] for _, images, _ in rows], "<i8")),
        ("first_image", first_image.astype("<i8")),
    ]
    create_table(group / "shards", SHARD_COLUMNS, table, TABLE_AXES["shards"])
    for row, (pair, images, labels) in enumerate(rows):
        _link(Path(pair.images), images["files"], group / "images", row)
        _unpack(Path(pair.labels), labels, group, row)


def _digests(digests: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes.fromhex("".join(digests)), np.uint8).reshape(len(digests), 32)


def _link(artefact: Path, files: Mapping[str, int], group: Path, row: int) -> None:
    """Link every chunk `ARRAY/c/0…` of the artefact as `ARRAY/c/ROW…` of the group."""
    for name, size in files.items():
        source, target = artefact / name, _target(group, name, row)
        with _whole(source, size):
            try:
                os.link(source, target)
            except OSError:  # another file system, or one without links
                shutil.copyfile(source, target)


def _unpack(artefact: Path, result: Mapping[str, Any], group: Path, row: int) -> None:
    """Write every chunk that the artefact keeps in one file to its own file of the group."""
    with _whole(artefact / PACK, result["files"][PACK]):
        for key, data in unpack_chunks(artefact, result["chunks"]):
            _target(group, key, row).write_bytes(data)


def _target(group: Path, key: str, row: int) -> Path:
    """Return the file of the chunk `ARRAY/c/0…` in the row, and create its folder."""
    array, _, tail = key.partition("/c/0")
    target = group / array / "c" / f"{row}{tail}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


@contextmanager
def _whole(source: Path, size: int) -> Iterator[None]:
    """Raises `DatasetError` `artefact-damaged` if a file of an artefact is missing or has another size."""
    try:
        if source.stat().st_size != size:
            raise FileNotFoundError
        yield
    except FileNotFoundError as error:
        message = f"{source} is missing or has changed since it was written"
        raise DatasetError(
            Problem("artefact-damaged", message, hint="delete the artefact and build again")
        ) from error


def ensure_replaceable(path: Path) -> None:
    """Raise `DatasetError` `not-replaceable` if `path` is neither a dataset, nor an empty directory, nor missing."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    try:
        known = str(read_object(path / "zarr.json")["attributes"]["format"])
    except (OSError, ValueError, KeyError, TypeError):
        known = ""
    if not known.startswith("mlimg-dataset/"):
        message = f"{path} exists and is not a dataset, so it is not replaced"
        raise DatasetError(Problem("not-replaceable", message, hint="choose another place, or move it away"))
