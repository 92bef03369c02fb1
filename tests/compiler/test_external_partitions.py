"""Rows sorted on disk, a range of keys at a time, are those that sorting in memory gives."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlimg_build.compiler.catalog import catalog_writer, external_partitions
from mlimg_build.compiler.catalog.arrow_tables import StoredTable, digest_columns, write_batches
from mlimg_build.compiler.catalog.catalog_writer import STATEMENTS, CatalogWriter
from mlimg_build.compiler.catalog.external_partitions import ExternalPartitions
from mlimg_build.compiler.pipeline import build
from mlimg_build.compiler.plan_stage import plan
from mlimg_build.errors import SourceError
from mlimg_build.label_states import ABSENT, PRESENT
from mlimg_build.sources import IMAGES, LABELS, Batch, Notes
from mlimg_build.sources.lists.confidences import stated
from mlimg_build.spec import load_spec
from tests.support.runs import inline

ROWS = pa.schema([("key", pa.uint64()), ("text", pa.string())])
WORLD = Path(__file__).parents[1] / "nets" / "world"


@given(st.lists(st.lists(st.integers(0, 2**64 - 1), max_size=20), max_size=6), st.integers(1, 400))
@settings(deadline=None)
def test_every_row_is_in_the_range_of_its_key_and_in_the_order_it_came(
    batches: list[list[int]], held: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(external_partitions, "HELD", held)
        ranges = ExternalPartitions(Path(folder), "rows", ROWS)
        came = [(key, f"{i}-{j}") for i, keys in enumerate(batches) for j, key in enumerate(keys)]
        for i, keys in enumerate(batches):
            ranges.add(
                pa.record_batch(
                    [pa.array(keys, pa.uint64()), [f"{i}-{j}" for j in range(len(keys))]], schema=ROWS
                )
            )
        tables = list(ranges.tables())
    found = [[(row["key"], row["text"]) for row in table.to_pylist()] for table in tables]
    assert [row for rows in found for row in rows] == (
        came if len(found) == 1 else sorted(came, key=lambda row: row[0] >> 56)
    )
    prefixes = [{key >> 56 for key, _ in rows} for rows in found]
    assert len(found) == 1 or all(one <= {number} for number, one in enumerate(prefixes))


def image_batch(names: list[str], status: list[str]) -> pa.RecordBatch:
    n = len(names)
    values: dict[str, list[Any]] = {
        "name": names,
        "path": [f"{name}.{i}" for i, name in enumerate(names)],
        "offset": [-1] * n,
        "size": list(range(n)),
        "status": status,
        "licence": [""] * n,
        "author": [""] * n,
        "mtime": [0] * n,
        "ctime": [0] * n,
    }
    return pa.record_batch([pa.array(values[field.name], field.type) for field in IMAGES], schema=IMAGES)


def label_batch(said: list[tuple[str, str, float, int]]) -> pa.RecordBatch:
    names, categories, values, records = zip(*said, strict=True) if said else ([], [], [], [])
    columns = [names, categories, *stated(np.array(values, np.float64)), records]
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, LABELS, strict=True)], schema=LABELS
    )


names = st.sampled_from([f"image-{i}" for i in range(40)])
images = st.lists(st.tuples(names, st.sampled_from(["", "missing"])), max_size=12)
labels = st.lists(
    st.tuples(names, st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 3)), max_size=20
)
streams = st.lists(st.tuples(st.none() | images, st.none() | labels), min_size=1, max_size=5)


def catalogued(stream: Any, held: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], Notes]:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(external_partitions, "HELD", held)
        writer, notes = CatalogWriter("s", ["a"], Path(folder)), Notes()
        for found, said in stream:
            writer.add(
                Batch(
                    None if found is None else image_batch([n for n, _ in found], [s for _, s in found]),
                    None if said is None else label_batch(said),
                )
            )
        tables = writer.finish(sorted(writer.category_ids), notes, "image-twice")
        rows = [[row for batch in table.batches() for row in batch.to_pylist()] for table in tables]
        return rows[0], rows[1], notes


@pytest.mark.slow
@given(streams)
@settings(deadline=None)
def test_a_catalog_sorted_on_disk_is_that_of_a_slow_definition(stream: Any) -> None:
    wanted: dict[str, tuple[str, str]] = {}
    again = 0
    for found, _ in stream:
        for i, (name, status) in enumerate(found or []):
            row = status, f"{name}.{i}"
            wanted[name] = min(wanted.get(name, row), row)
    rows = sorted((name, status) for found, _ in stream for name, status in found or [])
    again = sum(one == other for one, other in pairwise(rows))
    said = {(name, *rest) for _, given in stream for name, *rest in given or []}
    for name in {name for name, *_ in said} - wanted.keys():
        wanted[name] = ("missing", name)
    first: dict[tuple[str, str, float], int] = {}
    for name, category, confidence, record in said:
        key = (name, category, confidence)
        first[key] = min(first.get(key, record), record)
    for held in (1, 1 << 30):
        images, statements, notes = catalogued(stream, held)
        assert {row["name"]: (row["status"], row["path"]) for row in images} == wanted
        assert [row["key"] for row in images] == sorted(row["key"] for row in images)
        key_of = {row["name"]: row["key"] for row in images}
        categories = sorted({"a", *(category for _, category, *_ in said)})
        assert [tuple(row.values()) for row in statements] == sorted(
            (
                key_of[name],
                categories.index(category),
                PRESENT if confidence else ABSENT,
                confidence or 1.0,
                record,
            )
            for (name, category, confidence), record in first.items()
        )
        assert notes.counts["image-twice"] == again


def test_two_names_of_one_hash_are_an_error_on_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(prefix: str, names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        count = len([*names])
        return np.full(count, 7, np.uint64), np.zeros(count, np.uint64)

    monkeypatch.setattr(catalog_writer, "hash_names", hashed)
    with pytest.raises(SourceError, match="image-1 and image-0 have one hash"):
        catalogued([([("image-0", ""), ("image-1", "")], None)], 1)


@pytest.mark.parametrize("held", [1, 1 << 20])
@pytest.mark.parametrize("what", ["rows", "labels"])
def test_an_image_with_endless_rows_or_labels_is_an_error(
    monkeypatch: pytest.MonkeyPatch, held: int, what: str
) -> None:
    monkeypatch.setattr(catalog_writer, "LARGE", 400)
    monkeypatch.setattr(catalog_writer, "MANY", 100)
    spread = [(f"image-{i}", "") for i in range(1000)]
    few = [(name, "a", 1.0, i) for i, (name, _) in enumerate(spread)]
    assert len(catalogued([(spread, few)], held)[0]) == 1000
    images = [("image-0", "")] * 1000 if what == "rows" else spread
    said = few if what == "rows" else [("image-0", f"c{i}", 1.0, i) for i in range(1000)]
    with pytest.raises(SourceError, match=f"an image has more than 100 {what}"):
        catalogued([(images, said)], held)


def test_keys_that_begin_alike_are_told_apart() -> None:
    """The order is worked out on the first bits of a key; two keys that differ only behind them are sorted in full."""
    key = np.array([(1 << 40) + 3, (1 << 40) + 1, (1 << 40) + 3, (1 << 40) + 1], np.uint64)
    table = pa.table(
        [key, np.array([0, 1, 1, 0], np.int32), np.ones(4, np.int8), np.ones(4), np.zeros(4, np.int64)],
        schema=STATEMENTS,
    )
    found = catalog_writer.sorted_statements(table, np.array([0, 1], np.int32), 0)
    assert found.column("key").to_pylist() == sorted(key.tolist())
    assert found.column("category").to_pylist() == [0, 1, 0, 1]


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.integers(0, 120),
    st.integers(0, 120),
    st.booleans(),
)
@settings(deadline=None)
def test_a_stored_table_gives_what_a_table_in_memory_gives(
    sizes: list[int], start: int, length: int, drawn: bool
) -> None:
    schema = pa.schema([("draw", pa.uint64()), ("text", pa.string())])
    total = sum(sizes)
    whole = pa.table([np.arange(total, dtype=np.uint64), [f"é{i}" for i in range(total)]], schema=schema)
    ends = np.cumsum([0, *sizes])
    batches = [
        whole.slice(int(a), int(b - a)).combine_chunks().to_batches()
        or [pa.RecordBatch.from_pylist([], schema)]
        for a, b in pairwise(ends)
    ]
    with TemporaryDirectory() as folder:
        path, draws = Path(folder) / "t.arrow", Path(folder) / "d.arrow"
        write_batches(path, schema, [one[0] for one in batches])
        other = pa.record_batch([np.arange(total, dtype=np.uint64) + 1000], names=["draw"])
        write_batches(draws, other.schema, [other])
        stored = StoredTable(path, draws if drawn else None)
        expected = whole.set_column(0, "draw", [other.column(0)]) if drawn else whole
        assert len(stored) == total
        assert stored.slice(start, length).to_pylist() == expected.slice(start, length).to_pylist()
        assert [row for batch in stored.batches() for row in batch.to_pylist()] == expected.to_pylist()
        assert stored.column("text").to_pylist() == expected.column("text").to_pylist()
        assert digest_columns(stored, schema.names) == digest_columns(expected, schema.names)


@pytest.mark.parametrize("held", [1, 128 << 20])
def test_many_images_and_few_labels_meet_range_by_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int
) -> None:
    """Most ranges then have images and no statement, or neither."""
    monkeypatch.setattr(external_partitions, "HELD", held)
    (tmp_path / "images").mkdir()
    for i in range(60):
        shutil.copy(next((WORLD / "folders").rglob("*.jpg")), tmp_path / "images" / f"{i:04}.jpg")
    said = "".join(f"{image},verification,/m/0,1\n" for image in ("0001", "0002", "0099"))
    (tmp_path / "labels.csv").write_text(f"ImageID,Source,LabelName,Confidence\n{said}")
    (tmp_path / "classes.csv").write_text("/m/0,dog\n")
    (tmp_path / "spec.yaml").write_text(
        "mlimg: 1\nname: few\nversion: 1.0.0\nsources:\n"
        "  a: {type: open_images, images: images, labels: [labels.csv], classes: classes.csv}\n"
    )
    made = plan(load_spec(tmp_path / "spec.yaml"), tmp_path / "out")
    join = made.inputs.catalogs[0].join
    assert join is not None
    assert (join.listed, join.found, join.there, join.used) == (3, 2, 60, 2)
    assert made.left_out == {"no_label": 58}


def test_a_build_is_the_same_whether_its_rows_fit_in_memory_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for held in (128 << 20, 1):
        monkeypatch.setattr(external_partitions, "HELD", held)
        world = Path(shutil.copytree(WORLD, tmp_path / f"{held}"))
        built = build(load_spec(world / "world.yaml"), world / "out", inline())
        digests.add((built.digest, (built.lock / "duplicates.csv").read_text()))
    assert len(digests) == 1
    assert len(next(iter(digests))[1].splitlines()) > 1  # it has copies
