"""How fast a source of every format is read, and in how much memory, beside the format's own library."""

from __future__ import annotations

import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from tests.support.parquet_world import image_table

pytestmark = pytest.mark.bench
FULL = os.environ.get("MLIMG_BENCH") == "full"
ROWS = int(os.environ.get("FORMAT_ROWS", "1000000" if FULL else "2000"))
RUNS = int(os.environ.get("FORMAT_RUNS", "3" if FULL else "1"))
EACH = 10_000 if FULL else 500  # samples of a tar
CLASSES = 1_000 if FULL else 20
TINY = b"\xff\xd8\xff\xe0" + bytes(600)


def batched(rows: range, each: int) -> list[range]:
    return [rows[i : i + each] for i in range(0, len(rows), each)]


def draw(rows: int) -> list[int]:
    return np.random.default_rng(0).integers(0, CLASSES, rows).tolist()


def a_folder(root: Path) -> str:
    """Links to one file, so that a million of them take no room."""
    root.mkdir(exist_ok=True)
    (root / "one.jpg").write_bytes(TINY)
    for number, rows in enumerate(batched(range(ROWS), max(ROWS // CLASSES, 1))):
        (root / "pics" / f"class {number:04}").mkdir(parents=True)
        for row in rows:
            os.link(root / "one.jpg", root / "pics" / f"class {number:04}" / f"{row:07}.jpg")
    return "{type: folder, images: pics}"


def a_table(root: Path) -> str:
    """Paths of the files of `a_folder`, each of which is looked up."""
    a_folder(root)
    paths = sorted(path.relative_to(root / "pics").as_posix() for path in (root / "pics").rglob("*.jpg"))
    table = pa.table({"file": paths, "label": [f"class {i}" for i in draw(ROWS)][: len(paths)]})
    csv.write_csv(table, root / "t.csv")
    return "{type: table, table: t.csv, images: pics, columns: {image: file, labels: label}}"


def a_table_of_urls(root: Path) -> str:
    names = [f"https://example.org/{i:07}.jpg" for i in range(ROWS)]
    csv.write_csv(pa.table({"file": names, "label": [f"class {i}" for i in draw(ROWS)]}), root / "t.csv")
    (root / "pics").mkdir()
    return "{type: table, table: t.csv, images: pics, columns: {image: file, labels: label}}"


def open_images(root: Path) -> str:
    """One statement an image, each a file in one folder."""
    (root / "pics").mkdir()
    (root / "one.jpg").write_bytes(TINY)
    ids = [f"{i:016x}" for i in range(ROWS)]
    for name in ids:
        os.link(root / "one.jpg", root / "pics" / f"{name}.jpg")
    labels = [f"/m/{i:05}" for i in draw(ROWS)]
    sources = ["verification"] * ROWS
    table = pa.table({"ImageID": ids, "Source": sources, "LabelName": labels, "Confidence": [1] * ROWS})
    csv.write_csv(table, root / "human.csv")
    (root / "classes.csv").write_text("".join(f"/m/{i:05},class {i}\n" for i in range(CLASSES)))
    return "{type: open_images, images: pics, labels: [human.csv], classes: classes.csv}"


def coco(root: Path) -> str:
    """One box an annotation with a polygon of four corners, seven annotations an image."""
    labels = draw(ROWS)
    with (root / "a.json").open("w") as out:
        images = ({"id": i, "file_name": f"{i:012}.jpg"} for i in range(ROWS // 7 + 1))
        out.write(f'{{"images": [{", ".join(map(json.dumps, images))}], "annotations": [')
        for i, label in enumerate(labels):
            shape = {"bbox": [1.5, 2.25, 30.5, 40.0], "segmentation": [[1.5, 2, 9, 2, 9, 8.25, 1.5, 8.25]]}
            row = {"id": i, "image_id": i // 7, "category_id": label, "iscrowd": 0, "area": 24.5, **shape}
            out.write(("," if i else "") + json.dumps(row))
        categories = [{"id": i, "name": f"class {i}", "supercategory": "thing"} for i in range(CLASSES)]
        out.write(f'], "categories": {json.dumps(categories)}}}')
    return "{type: coco, annotations: [a.json]}"


def parquet(root: Path) -> str:
    data = pa.array([TINY[:8]] * ROWS, pa.binary())
    column = pa.StructArray.from_arrays([data, pa.nulls(ROWS, pa.string())], ["bytes", "path"])
    schema = image_table([], pa.array([], pa.int64()), names=[f"class {i}" for i in range(CLASSES)]).schema
    table = pa.table({"image": column, "label": draw(ROWS)}).replace_schema_metadata(schema.metadata)
    pq.write_table(table, root / "train.parquet", row_group_size=100_000)
    return "{type: parquet, images: train.parquet}"


def tars(root: Path) -> str:
    labels = draw(ROWS)
    for number, rows in enumerate(batched(range(ROWS), EACH)):
        with tarfile.open(root / f"train-{number:06}.tar", "w") as tar:
            for row in rows:
                for suffix, content in (("jpg", TINY), ("cls", str(labels[row]).encode())):
                    member = tarfile.TarInfo(f"{row:07}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    (root / "classes.csv").write_text("".join(f"{i},class {i}\n" for i in range(CLASSES)))
    return '{type: webdataset, tars: ["train-*.tar"], classes: classes.csv}'


def imagenet(root: Path) -> str:
    """One tar a synset, of nouns that WordNet has."""
    from mlimg_build.wordnet import load

    names = sorted(load().wnids)[:CLASSES]
    (root / "train").mkdir()
    for wnid, rows in zip(names, batched(range(ROWS), max(ROWS // CLASSES, 1)), strict=True):
        with tarfile.open(root / "train" / f"{wnid}.tar", "w") as tar:
            for row in rows:
                member = tarfile.TarInfo(f"{wnid}_{row}.JPEG")
                member.size = len(TINY)
                tar.addfile(member, io.BytesIO(TINY))
    return "{type: imagenet, images: train}"


FORMATS: dict[str, tuple[Callable[[Path], str], dict[str, str]]] = {
    "folder": (a_folder, {"torchvision": "len(torchvision.datasets.ImageFolder(root / 'pics'))"}),
    "table": (a_table, {"pandas": "len(pandas.read_csv(root / 't.csv'))"}),
    "table of URLs": (a_table_of_urls, {"pandas": "len(pandas.read_csv(root / 't.csv'))"}),
    "open_images": (open_images, {"pandas": "len(pandas.read_csv(root / 'human.csv'))"}),
    "coco": (
        coco,
        {
            "json": "len(json.loads((root / 'a.json').read_text())['annotations'])",
            "pycocotools": "len(pycocotools.coco.COCO(root / 'a.json').anns)",
        },
    ),
    "parquet": (
        parquet,
        {
            "pyarrow": "pyarrow.parquet.read_table(root / 'train.parquet').num_rows",
            "datasets": "sum(1 for _ in datasets.Dataset.from_parquet(str(root / 'train.parquet'), "
            "cache_dir=str(root / 'cache')).select_columns(['label']))",
        },
    ),
    "webdataset": (
        tars,
        {
            "webdataset": "sum(1 for _ in webdataset.WebDataset([str(p) for p in sorted(root.glob('*.tar'))], "
            "shardshuffle=False))"
        },
    ),
    "imagenet": (
        imagenet,
        {"tarfile": "sum(1 for p in sorted(root.rglob('*.tar')) for _ in tarfile.open(p))"},
    ),
}
LOADED = {
    "torchvision": "torchvision.datasets",
    "pycocotools": "pycocotools.coco",
    "pyarrow": "pyarrow.parquet",
}
SLOW = () if FULL else ("datasets", "torchvision")  # to import
OURS = """
from mlimg_build.sources import Notes, open_source
from mlimg_build.spec import load_spec
part = load_spec(root / "x.yaml").spec.sources["x"]
def work():
    source, statements = open_source("x", part), 0
    for _ in source.categories():
        pass
    for batch in source.scan(Notes()):
        statements += 0 if batch.labels is None else len(batch.labels)
    return statements
"""
MEASURE = """
before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
count = work()
took, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
print("\\n" + json.dumps([count, took, busy, peak]))
"""


def measured(root: Path, code: str) -> tuple[int, float, float, float]:
    """What `work` of the code counted, its seconds, those of the processor, and the peak memory of its process, MiB."""
    head = "import json, resource, sys, time\nfrom pathlib import Path\nroot = Path(sys.argv[1])\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{head}{code}{MEASURE}", str(root)],
        capture_output=True,
        text=True,
        check=True,
    )
    count, took, busy, peak = json.loads(done.stdout.splitlines()[-1])
    return count, took, busy, peak


@pytest.mark.parametrize("name", FORMATS)
def test_a_source_of_many_rows(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in a process of its own, alternating; reading the format's own way has no labels, checks or places."""
    make, others = FORMATS[name]
    source = make(tmp_path)
    (tmp_path / "x.yaml").write_text(f"mlimg: 1\nname: x\nversion: 1.0.0\nsources:\n  x: {source}\n")
    ways = {"mlimg": OURS} | {
        key: f"import {LOADED.get(key, key)}\nwork = lambda: {code}\n"
        for key, code in others.items()
        if key not in SLOW and find_spec(key) is not None
    }
    found: dict[str, list[tuple[int, float, float, float]]] = {key: [] for key in ways}
    for _ in range(RUNS):
        for key, code in ways.items():
            found[key].append(measured(tmp_path, code))
    for key, runs in found.items():
        counts, took, busy, peak = zip(*runs, strict=True)
        assert set(counts) == {ROWS}
        clock, processor = statistics.median(took), statistics.median(busy)
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}, {key}: {ROWS / clock:,.0f} rows/s, {clock:.2f} s ({processor:.2f} of the processor), "
                f"peak {max(peak):,.0f} MiB"
            )
