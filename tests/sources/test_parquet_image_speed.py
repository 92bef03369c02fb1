"""How fast images are read out of Parquet, beside pyarrow reading whole row groups, and how fast files are planned."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlimg_build.sources import ImageReader, Notes
from mlimg_build.sources.embedded.page_reader import PageReader
from tests.support.parquet_world import image_table, images_of
from tests.support.photographs import crops
from tests.support.source_world import DATA

pytestmark = pytest.mark.bench
PHOTOGRAPHS = DATA / "imagenet-sample"
ROWS, GROUP = int(os.environ.get("PARQUET_IMAGES", "200")), 100
MILLION = int(os.environ.get("PARQUET_ROWS", "20000"))
LAYOUTS = {
    "as datasets writes it": {
        "compression": "none",
        "use_dictionary": False,
        "use_content_defined_chunking": True,
    },
    "pyarrow's defaults": {},
    "zstd, pages of 1 MiB": {"compression": "zstd", "use_dictionary": False, "write_batch_size": 8},
}


def photographs() -> list[bytes]:
    """Photographs of 105 KB where there are some, each again with other bytes behind it; else small crops."""
    found = [path.read_bytes() for path in sorted(PHOTOGRAPHS.rglob("*.JPEG"))] or crops("chelsea", 50, 96)
    return [found[i % len(found)] + i.to_bytes(4, "little") for i in range(ROWS)]


def rate(work: Callable[[], int], times: int = 3) -> float:
    """The median of images a second."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        count = work()
        found.append(count / (time.perf_counter() - began))
    return sorted(found)[times // 2]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_at_random_and_in_order(tmp_path: Path, layout: str) -> None:
    images = photographs()
    path = tmp_path / "train.parquet"
    pq.write_table(
        image_table(images, [i % 3 for i in range(ROWS)]), path, row_group_size=GROUP, **LAYOUTS[layout]
    )
    source = images_of(path)
    rows = [
        (row["path"], row["offset"], row["size"], row["mtime"], inside)
        for batch in source.scan(Notes())
        if batch.images is not None and batch.inside is not None
        for row, inside in zip(batch.images.to_pylist(), batch.inside.tolist(), strict=True)
    ]
    mixed = np.random.default_rng(1).permutation(ROWS).tolist()

    def ours(order: list[int], kept: bool = True) -> int:
        with ImageReader(tmp_path) as reader:
            reader._pages = PageReader() if kept else PageReader(0)
            for i in order:
                assert len(reader.read_planned(*rows[i])[0]) == len(images[i])
        return len(order)

    def theirs(order: list[int]) -> int:
        with pq.ParquetFile(path) as file:
            for group, row in _grouped(order):
                column = (
                    file.read_row_group(group, columns=["image.bytes"])["image"].combine_chunks().field(0)
                )
                for i in row:
                    assert len(column[i % GROUP].as_py()) == len(images[group * GROUP + i % GROUP])
        return len(order)

    some = mixed[: max(ROWS // 20, 1)]
    print(
        f"\n{layout}, {ROWS:,} images of {sum(map(len, images)) // ROWS:,} B: "
        f"in order {rate(lambda: ours([*range(ROWS)])):,.0f} images/s (row groups by pyarrow "
        f"{rate(lambda: theirs([*range(ROWS)])):,.0f}), at random {rate(lambda: ours(mixed)):,.0f}, "
        f"{rate(lambda: ours(some, kept=False)):,.0f} where no page is at hand ({rate(lambda: theirs(some)):,.0f})"
    )


def _grouped(order: list[int]) -> Iterator[tuple[int, list[int]]]:
    """Row groups with the rows that are read of each before another one is."""
    group, rows = order[0] // GROUP, list[int]()
    for i in order:
        if i // GROUP != group:
            yield group, rows
            group, rows = i // GROUP, []
        rows.append(i)
    yield group, rows


def test_a_plan_of_many_rows(tmp_path: Path) -> None:
    """In a process of its own, whose peak memory is told."""
    rng = np.random.default_rng(2)
    for number in range(4):
        count = MILLION // 4
        data = pa.array([b"\xff\xd8%d" % i for i in range(count)], pa.binary())
        column = pa.StructArray.from_arrays([data, pa.nulls(count, pa.string())], ["bytes", "path"])
        label = pa.array(rng.integers(0, 1000, count))
        names = [f"class {i}" for i in range(1000)]
        table = image_table([], pa.array([], pa.int64()), names=names)
        table = pa.table({"image": column, "label": label}).replace_schema_metadata(table.schema.metadata)
        pq.write_table(table, tmp_path / f"train-{number}.parquet", row_group_size=100_000)
    began = time.perf_counter()
    read = sum(pq.read_table(path, columns=["label"]).num_rows for path in sorted(tmp_path.glob("*.parquet")))
    theirs = time.perf_counter() - began
    assert read == MILLION
    began = time.perf_counter()
    made = subprocess.run(
        [sys.executable, "-c", PLAN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    print(
        f"\n{MILLION:,} rows: {made.stdout.strip()}; {time.perf_counter() - began:.1f} s with the start of a process; "
        f"pyarrow reads the labels alone in {theirs:.2f} s"
    )


PLAN = """
import sys, time
from pathlib import Path
from mlimg_build.compiler.catalog.catalog import catalog
from mlimg_build.sources import open_source
from mlimg_build.spec import ParquetSource
def peak():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) // 1024
part = ParquetSource(type="parquet", images=Path(sys.argv[1]))
began, cpu = time.perf_counter(), time.process_time()
from mlimg_build.sources import Notes
rows = sum(len(batch.images) for batch in open_source("s", part).scan(Notes()))
scanned, scanned_cpu = time.perf_counter() - began, time.process_time() - cpu
scanning = peak()
began = time.perf_counter()
made = catalog("s", open_source("s", part), part, Path(sys.argv[1]) / "catalogs" / "x")
whole = time.perf_counter() - began
print(f"scan {scanned:.2f} s ({scanned_cpu:.2f} s of processor, {rows / scanned:,.0f} rows/s, {scanning} MiB), "
      f"catalog on the disk {whole:.2f} s ({rows / whole:,.0f} rows/s, {peak()} MiB)")
"""
