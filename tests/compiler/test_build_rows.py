"""Rows laid out block by block, in threads, are those of a slow definition that looks at every image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.compiler.catalog import counts as counting
from mlimg_build.compiler.catalog.arrow_tables import StoredTable, digest_columns, write_batches
from mlimg_build.compiler.catalog.catalog import STATEMENTS, Catalog
from mlimg_build.compiler.catalog.counts import count_groups, count_present, count_stated
from mlimg_build.compiler.plan.row_files import IMAGE_FIELDS, STATEMENT_FIELDS, RowIndex
from mlimg_build.compiler.plan.row_writer import write_rows
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import BuildError
from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources import DRAWN, IMAGES, NOT_INSIDE, Category
from mlimg_build.sources.protocol import Notes
from mlimg_build.spec import SPLITS, LoadedSpec, Spec, load_spec

CATEGORIES, VOCABULARY = 4, 3
BLOCKS = (1, 3, 1000)


@dataclass(frozen=True)
class World:
    """Images of two sources by name, each with its (category, confidence) statements, and what a spec says."""

    images: tuple[dict[str, list[tuple[int, float]]], dict[str, list[tuple[int, float]]]]
    positions: tuple[list[int], list[int]]  # of each source's categories in the mappings
    category_of: list[int]
    per_shard: int
    unlabelled: str
    validation: float
    split: str


@st.composite
def worlds(draw: st.DrawFn) -> World:
    said = st.lists(
        st.tuples(
            st.integers(0, CATEGORIES - 1),
            st.sampled_from([0.0, 1e-50, 0.3, 0.49999999, 0.6, 0.99999999, 1.0]),
        ),
        max_size=4,
        unique=True,
    )
    images = tuple({f"{i}": draw(said) for i in range(draw(st.integers(1, most)))} for most in (90, 20))
    mappings = 2 * CATEGORIES
    return World(
        images,  # type: ignore[arg-type]
        ([0, 1, 2, 3], [4, 5, 6, 7]),
        draw(st.lists(st.integers(-1, VOCABULARY - 1), min_size=mappings, max_size=mappings)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from(["keep", "drop"])),
        draw(st.sampled_from([0.0, 0.3])),
        draw(st.sampled_from(["auto", "validation"])),
    )


def keys(source: str, name: str) -> tuple[int, int]:
    """The order and the draw of an image, as published: two halves of the start of its sha256."""
    digest = hashlib.sha256(f"{source}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big")


def catalog(folder: Path, name: str, images: dict[str, list[tuple[int, float]]]) -> Catalog:
    """The catalog of a source, its tables in two batches each, below `folder`."""
    ordered = sorted(images, key=lambda image: keys(name, image))
    columns: dict[str, list[Any]] = {
        "name": ordered,
        "path": [f"{image}.jpg" for image in ordered],
        "offset": [-1] * len(ordered),
        "size": [len(image) - 2 for image in ordered],
        "status": [""] * len(ordered),
        "licence": ["CC0" if int(image) % 2 else "" for image in ordered],
        "author": ["Zoë" * (int(image) % 3) for image in ordered],
        "mtime": [int(image) for image in ordered],
        "ctime": [int(image) + 1 for image in ordered],
        "key": [keys(name, image)[0] for image in ordered],
        "draw": [keys(name, image)[1] for image in ordered],
        "split": [DRAWN] * len(ordered),
        "inside": [NOT_INSIDE] * len(ordered),
    }
    beside = [("key", pa.uint64()), ("draw", pa.uint64()), ("split", pa.int8()), ("inside", pa.int64())]
    schema = pa.schema([*IMAGES, *beside])
    said = [
        (
            keys(name, image)[0],
            category,
            ABSENT if confidence == 0 else PRESENT,
            confidence or 1.0,
            int(image),
        )
        for image in ordered
        for category, confidence in sorted(images[image])
    ]
    statements = pa.Table.from_pylist(
        [dict(zip(STATEMENTS.names, row, strict=True)) for row in said], STATEMENTS
    )
    return Catalog(
        name=name,
        digest="",
        categories=tuple(Category(str(i), "") for i in range(CATEGORIES)),
        complete=False,
        lists=(),
        files=(),
        notes=Notes(),
        images=halved(folder / f"{name}-images.arrow", pa.table(columns, schema=schema)),
        statements=halved(folder / f"{name}-statements.arrow", statements),
        folder=folder,
    )


def halved(path: Path, table: pa.Table) -> StoredTable:
    middle = len(table) // 2
    write_batches(
        path, table.schema, [*table.slice(0, middle).to_batches(), *table.slice(middle).to_batches()]
    )
    return StoredTable(path)


def spec_of(world: World, folder: Path) -> Spec:
    (folder / "images").mkdir(exist_ok=True)
    (folder / "spec.yaml").write_text(
        "mlimg: 1\nname: rows\nversion: 1.0.0\nsources:\n"
        "  one: {type: folder, images: images, min_confidence: 0.5}\n"
        f"  two: {{type: folder, images: images, split: {world.split}}}\n"
        f"annotation: {{unlabelled: {world.unlabelled}}}\n"
        f"split: {{validation: {world.validation}}}\n"
        f"dataset: {{images_per_shard: {world.per_shard}}}\n"
    )
    return load_spec(folder / "spec.yaml").spec


def stored(confidence: float) -> float:
    """The float32 that a confidence is stored as, 1 only where it is 1."""
    below, above = np.nextafter(np.float32([1, 0]), np.float32([0, 1]))
    return float(np.float32(confidence) if confidence == 1 else np.clip(np.float32(confidence), above, below))


def facts_of(world: World) -> Any:
    """As much of the facts as rows follow from."""
    return SimpleNamespace(
        vocabulary=SimpleNamespace(
            category_of=np.array(world.category_of, np.int32),
            narrower=np.zeros(len(world.category_of), bool),
            placed=[
                SimpleNamespace(fate="used" if category >= 0 else "is_a", decision=None)
                for category in world.category_of
            ],
        ),
        positions=[np.array(position, np.int32) for position in world.positions],
        rows=[SimpleNamespace(source=i // CATEGORIES) for i in range(2 * CATEGORIES)],
    )


def reference(world: World) -> dict[str, list[dict[str, Any]]]:
    """The rows of each split, image by image."""
    found: list[tuple[int, int, dict[str, Any]]] = []
    for number, (name, images) in enumerate(zip(("one", "two"), world.images, strict=True)):
        for image, said in images.items():
            key, draw = keys(name, image)
            counting = [
                (world.category_of[world.positions[number][category]], category, confidence)
                for category, confidence in sorted(said)
                if (confidence == 0 or number == 1 or confidence >= 0.5)
                and world.category_of[world.positions[number][category]] >= 0
            ]
            if not counting and world.unlabelled == "drop":
                continue
            split = (
                1 if (number == 1 and world.split == "validation") or draw < world.validation * 2**64 else 0
            )
            row = {
                "id": f"{name}/{image}",
                "source": number,
                "path": f"{image}.jpg",
                "offset": -1,
                "inside": -1,
                "size": len(image) - 2,
                "status": "",
                "author": "Zoë" * (int(image) % 3),
                "mtime": int(image),
                "category": [category for category, *_ in counting],
                "state": [1 if confidence else -1 for *_, confidence in counting],
                "confidence": [stored(confidence or 1) for *_, confidence in counting],
                "mapping": [world.positions[number][category] for _, category, _ in counting],
                "record": [int(image)] * len(counting),
            }
            found.append((key, split, row))
    found.sort(key=lambda each: each[0])
    return {name: [row for _, split, row in found if split == number] for number, name in enumerate(SPLITS)}


def catalogs_of(world: World, folder: Path) -> list[Catalog]:
    return [catalog(folder, name, images) for name, images in zip(("one", "two"), world.images, strict=True)]


def laid_out(world: World, folder: Path, block: int) -> tuple[RowIndex, dict[str, list[pa.RecordBatch]]]:
    catalogs = catalogs_of(world, folder)
    rows = write_rows(spec_of(world, folder), catalogs, facts_of(world), folder, block=block)
    batches = {split: [rows.batch(shard) for shard in rows.of(split)] for split in SPLITS}
    return rows, batches


@given(worlds())
@settings(max_examples=60, deadline=None)
def test_rows_equal_the_slow_reference_whatever_the_blocks(world: World) -> None:
    wanted = reference(world)
    made = []
    for block in BLOCKS:
        with TemporaryDirectory() as folder:
            if not any(wanted.values()):
                with pytest.raises(BuildError):
                    laid_out(world, Path(folder), block)
                return
            rows, batches = laid_out(world, Path(folder), block)
            for split, expected in wanted.items():
                found = [row for batch in batches[split] for row in batch.to_pylist()]
                licences = [rows.licences[row.pop("licence")] for row in found]
                assert found == expected
                assert licences == ["CC0" if int(row["path"][:-4]) % 2 else "" for row in expected]
                sizes = [len(batch) for batch in batches[split]]
                assert all(size == world.per_shard for size in sizes[:-1])
                for shard, batch in zip(rows.of(split), batches[split], strict=True):
                    assert shard.image_rows == digest_columns(batch, [name for name, _ in IMAGE_FIELDS])
                    assert shard.label_rows == digest_columns(batch, [name for name, _ in STATEMENT_FIELDS])
                    assert shard.images == len(batch)
            total = sum(len(images) for images in world.images)
            assert rows.dropped == total - sum(len(expected) for expected in wanted.values())
            made.append(rows.record())
    assert all(record == made[0] for record in made)


@pytest.mark.slow
@given(worlds())
@settings(max_examples=25, deadline=None)
def test_counts_equal_sets_of_images_whatever_the_blocks(world: World) -> None:
    with TemporaryDirectory() as folder:
        check_counts(world, catalogs_of(world, Path(folder)))


def check_counts(world: World, catalogs: list[Catalog]) -> None:
    positions = [np.array(position, np.int32) for position in world.positions]
    group = np.array(world.category_of, np.int32)
    for block in BLOCKS:
        with patch.object(counting, "BLOCK", block):
            for number, (made, least) in enumerate(zip(catalogs, (0.5, 0.0), strict=True)):
                images = world.images[number]
                assert count_stated(made).tolist() == [
                    sum(category == one for said in images.values() for one, _ in said)
                    for category in range(CATEGORIES)
                ]
                assert count_present(made, least).tolist() == [
                    len({name for name, said in images.items() if present(said, [category], least)})
                    for category in range(CATEGORIES)
                ]
            merged = count_groups(catalogs, positions, (0.5, 0.0), group)
        for number in range(len(merged)):
            count = 0
            for source, least in enumerate((0.5, 0.0)):
                of = [c for c in range(CATEGORIES) if group[positions[source][c]] == number]
                count += sum(present(said, of, least) for said in world.images[source].values())
            assert merged[number] == count


def present(said: list[tuple[int, float]], categories: list[int], least: float) -> bool:
    return any(one in categories and confidence > 0 and confidence >= least for one, confidence in said)


def test_a_fraction_is_a_prefix_of_the_rows(spec: LoadedSpec, tmp_path: Path) -> None:
    whole = plan(spec, tmp_path / "whole")
    part = plan(spec, tmp_path / "part", 0.5)
    assert 0 < len(part.work) < len(whole.work)
    shards = [one.shard for one in part.work]
    assert shards == [one.shard for one in whole.work if one.shard in shards]
    for shard in shards:
        own, theirs = (made.rows.batch(shard) for made in (part, whole))
        assert own.equals(theirs)
