"""A small dataset with every kind of row, to train on, and ways of changing a copy of it as a stranger would."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from tests.support.photographs import crops

__all__ = ["COLUMN_EDITS", "FILE_EDITS", "GONE", "ROOT_EDITS", "Edit", "strange_spec"]

SPEC = """\
mlimg: 1
name: strange
version: 1.0.0
sources:
  synsets: {type: imagenet, images: synsets}
  crowd: {type: open_images, images: crowd, labels: labels.csv, classes: classes.csv}
vocabulary: {ancestors: common}
annotation:
  unlabelled: keep
  cooccurrence: {learn_from: [crowd], min_images: 2, min_probability: 0.3}
split: {validation: 0.25}
dataset: {images_per_shard: 16}
training:
  model: timm/test_resnet.r160_in1k
  image_size: 32
  batch_size: 8
  epochs: 1
  steps_per_epoch: 1
  shards_mixed: 1
  device: cpu
"""
SYNSETS = {"chelsea": "n02123045", "rocket": "n04099429", "coffee": "n07929519"}
GONE = object()
"""An attribute, a column or a file that is taken away."""

Change = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a dataset."""

    name: str
    change: Change


def strange_spec(root: Path) -> Path:
    """A spec over two sources with copies, contradictions and pairs; returns its path."""
    rows: list[tuple[str, str, str, str]] = []
    (root / "crowd").mkdir(parents=True)
    for name, wnid in SYNSETS.items():
        (root / "synsets" / wnid).mkdir(parents=True)
        made = crops(name, 16, side=48)
        for i in range(8):
            (root / "synsets" / wnid / f"{wnid}_{i}.JPEG").write_bytes(made[i])
            (root / "crowd" / f"{name}{i}.jpg").write_bytes(made[8 + i])
            rows.append((f"{name}{i}", "verification", f"/q/{name}", "1"))
            rows.append((f"{name}{i}", "verification", "/q/animal", "0"))  # of a cat, too
            if name != "chelsea":
                rows.append((f"{name}{i}", "verification", "/q/cup", "1"))
        (root / "crowd" / f"again-{name}.jpg").write_bytes(made[0])
        rows.append((f"again-{name}", "verification", f"/q/{name}", "1"))
    (root / "crowd" / "half.jpg").write_bytes((root / "crowd" / "rocket0.jpg").read_bytes()[:500])
    rows.append(("half", "verification", "/q/rocket", "1"))
    names = {"chelsea": "tabby", "rocket": "rocket", "coffee": "espresso", "animal": "animal", "cup": "cup"}
    with (root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("ImageID", "Source", "LabelName", "Confidence"), *rows])
    with (root / "classes.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("LabelName", "DisplayName"), *((f"/q/{k}", v) for k, v in names.items())]
        )
    (root / "strange.yaml").write_text(SPEC)
    return root / "strange.yaml"


def attribute(place: str, value: Any, group: str = "") -> Edit:
    """An attribute of a group gets another value; `place` has dots."""

    def change(dataset: Path) -> None:
        file = dataset / group / "zarr.json"
        told = json.loads(file.read_text())
        *path, last = place.split(".")
        inner = told["attributes"]
        for key in path:
            inner = inner[key]
        if value is GONE:
            del inner[last]
        else:
            inner[last] = value
        replace(file, json.dumps(told))

    shown = "gone" if value is GONE else repr(value)[:30]
    return Edit(f"{group or 'root'} {place} = {shown}", change)


def value(column: str, index: Any, to: Any) -> Edit:
    """One value of a column is another; the chunk is whole."""

    def change(dataset: Path) -> None:
        unlink(dataset / column / "c")
        array = zarr.open_array(str(dataset / column), mode="r+")
        array[index] = to

    return Edit(f"{column}{index} = {to}", change)


def typed(column: str, dtype: str) -> Edit:
    """A column has the same values in another type."""

    def change(dataset: Path) -> None:
        array = zarr.open_array(str(dataset / column), mode="r")
        values, chunks, names = np.asarray(array[...]), array.chunks, array.metadata.dimension_names
        shutil.rmtree(dataset / column)
        made = zarr.create_array(
            store=str(dataset / column), shape=values.shape, dtype=dtype, chunks=chunks, dimension_names=names
        )
        with np.errstate(all="ignore"):
            made[...] = values.astype(dtype)

    return Edit(f"{column} as {dtype}", change)


def metadata(column: str, key: str, to: Any) -> Edit:
    """The metadata of an array say something else."""

    def change(dataset: Path) -> None:
        file = dataset / column / "zarr.json"
        told = json.loads(file.read_text())
        told[key] = to
        replace(file, json.dumps(told))

    return Edit(f"{column} {key} = {str(to)[:30]}", change)


def file(name: str, put: Change | None, what: str) -> Edit:
    """A file is something else, or gone."""

    def change(dataset: Path) -> None:
        path = dataset / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if put is not None:
            put(path)

    return Edit(f"{name} is {what}", change)


def replace(path: Path, text: str) -> None:
    """Write a file anew: the copy of a dataset may share its files with the dataset."""
    path.unlink()
    path.write_text(text)


def unlink(folder: Path) -> None:
    """Give the files of a folder an inode of their own."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(data)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def text(content: str) -> Change:
    return lambda path: path.write_text(content) and None


NESTED = '{"zarr_format": 3, "node_type": "group", "attributes": ' + '{"a": ' * 50_000 + "1" + "}" * 50_001
COUNTS = "counts.train"
ROOT_EDITS = [
    *(attribute("tables", to) for to in ("abc", {}, [], None, {"rules": "abc"})),
    *(attribute("tables.rules", to) for to in ([], ["stated"], [5], "abc", GONE)),
    *(attribute("tables.sources", to) for to in ([], [None], GONE)),
    *(attribute("tables.licences", to) for to in ([], 5)),
    *(attribute("tables.statuses", to) for to in (["ok"][:0], {})),
    *(attribute("tables.methods", to) for to in ([], GONE)),
    *(
        attribute("splits", to)
        for to in ([], "train", ["/train"], ["../x"], ["train", "train"], ["none"], [5], GONE)
    ),
    *(attribute("layout.images_per_shard", to) for to in (0, -1, 2**40, 1.5, "8", GONE)),
    *(attribute("layout.chunk_bytes", to) for to in (0, 2**62, None)),
    *(attribute("layout.shard_bytes", to) for to in (1, -(2**20))),
    *(attribute("layout.source_digest", to) for to in (True, 1, "no")),
    attribute("layout.more", 1),
    *(attribute("fraction", to) for to in (float("nan"), float("inf"), -1, 0, "1", [])),
    *(attribute("digest", to) for to in ("", 5, "z" * 64, GONE)),
    *(attribute("annotation", to) for to in ({}, [], 5)),
    *(attribute("annotation.add_to", to) for to in ([5], ["none"], "crowd")),
    *(attribute("annotation.machine_levels", to) for to in (-1, 1.5, [])),
    *(attribute("counts", to) for to in ({}, 5, {"train": {}}, GONE)),
    *(attribute(f"{COUNTS}.images", to) for to in (-1, 1.5, "9", None, 10**30)),
    *(attribute(f"{COUNTS}.labels", to) for to in ({}, None, {"present": -1})),
    *(attribute(f"{COUNTS}.counted", to) for to in (GONE, {}, {"images": "x"})),
    *(attribute(f"{COUNTS}.statuses", to) for to in ([], {"ok": -1}, {"ok": "x"})),
    *(attribute("sources", to) for to in ({}, [], {"crowd": 5})),
    *(attribute("sources.crowd.lists", to) for to in ([], 5, [None])),
    *(attribute("spec", to) for to in (5, "\x1b[31m: [", "a: " * 1000, None)),
    *(attribute("spec_file", to) for to in (5, None)),
    *(attribute("wordnet", to) for to in (5, {}, {"release": 1, "digest": []})),
    *(attribute("own", to) for to in (5, {}, {"categories": -1, "digest": []})),
    *(attribute("copies", to) for to in (5, {}, {"exact": [], "basis": 1})),
    *(attribute("left_out", to) for to in ([], {"a": "b"}, {"a": -1})),
    *(attribute("pairs_left_out", to) for to in ([], {"a": "b"})),
    *(attribute("contradictions", to) for to in ("x", -5)),
    *(attribute("name", to) for to in (5, None, "x" * 10_000)),
    *(attribute("images", to, "train") for to in (-5, 1.5, 0, 10**6, 2**62, "9", None, GONE)),
    *(attribute("shards", to, "train") for to in (2**40, 0, -1, 1, "3", GONE)),
    *(attribute("images_per_shard", to, "train") for to in (0, -8, 15, 2**40, GONE)),
]
"""Attributes: each with values of other types, out of their range, and none."""

LABELS = "train/labels"
COLUMN_EDITS = [
    *(value(f"{LABELS}/category", (0, 0), to) for to in (10**6, -1, -(2**31))),
    *(value(f"{LABELS}/via", (0, 0), to) for to in (10**6, -5)),
    *(value(f"{LABELS}/rule", (0, 0), to) for to in (200,)),
    *(value(f"{LABELS}/source", (0, 0), to) for to in (60_000,)),
    *(value(f"{LABELS}/mapping", (0, 0), to) for to in (10**6, -2)),
    *(value(f"{LABELS}/state", (0, 0), to) for to in (0, 5, -128)),
    *(value(f"{LABELS}/confidence", (0, 0), to) for to in (float("nan"), -1, 7, float("inf"))),
    *(value(f"{LABELS}/record", (0, 0), to) for to in (-1, 2**62)),
    *(value(f"{LABELS}/start", 0, to) for to in (5, 2**63)),
    *(value(f"{LABELS}/stop", 3, to) for to in (0, 2**40, 2**64 - 1)),
    *(value("train/contradictions/absent", (0, 0), to) for to in (10**6, -1)),
    *(value("train/contradictions/kept", (0, 0), to) for to in (5,)),
    *(value("train/contradictions/stop", 15, to) for to in (10**9,)),
    *(value("train/images/source", 0, to) for to in (9_999,)),
    *(value("train/images/status", 0, to) for to in (99,)),
    *(value("train/images/licence", 0, to) for to in (9_999,)),
    *(value("train/images/start", 1, to) for to in (0, 2**63)),
    *(value("train/images/stop", 15, to) for to in (2**30, 2**62)),
    *(value("train/images/id_stop", 3, to) for to in (0, 2**32 - 1)),
    *(value("train/images/author_stop", 15, to) for to in (2**31,)),
    *(value("train/images/height", 0, to) for to in (0, 2**32 - 1)),
    *(value("train/shards/first_image", 1, to) for to in (0, -5, 2**40)),
    *(value("train/shards/images", 0, to) for to in (0, 2**40)),
    *(value("train/shards/bytes", 0, to) for to in (-1, 2**50)),
    *(value("categories/parent_start", 1, to) for to in (-1, 10**9)),
    *(value("categories/parent_index", 0, to) for to in (10**6, -1)),
    *(value("categories/positives", 0, to) for to in (-5, 2**62)),
    *(value("categories/wnid_stop", 1, to) for to in (0, 2**32 - 1)),
    *(value("mappings/category", 0, to) for to in (10**6, -5)),
    *(value("mappings/source", 0, to) for to in (999,)),
    *(value("mappings/method", 0, to) for to in (99,)),
    *(value("mappings/fate", 0, to) for to in (99,)),
    *(value("mappings/relation", 0, to) for to in (99,)),
    *(value("mappings/score", 0, to) for to in (float("nan"), -3)),
    *(value("pairs/antecedent", 0, to) for to in (10**6, -1)),
    *(value("pairs/images", 0, to) for to in (0, -1)),
    *(value("pairs/bound", 0, to) for to in (float("nan"), 2)),
    *(value("copies/groups/start", 0, to) for to in (1, 2**62)),
    *(value("copies/groups/stop", 0, to) for to in (0, 2**62)),
    *(value("copies/members/split", 0, to) for to in (100, -1)),
    *(value("copies/members/row", 0, to) for to in (10**9, -9)),
    *(value("copies/members/source", 0, to) for to in (999,)),
    *(value("copies/labels/category", 0, to) for to in (10**6,)),
    *(value("copies/labels/member", 0, to) for to in (10**6, -1)),
    *(value("copies/labels/stop", 0, to) for to in (10**9,)),
    *(typed(f"{LABELS}/{name}", to) for name, to in (("category", "f8"), ("state", "i4"), ("start", "i2"))),
    *(typed(f"train/images/{name}", to) for name, to in (("id", "u2"), ("digest", "i4"), ("stop", "f4"))),
    *(typed("categories/parent_index", to) for to in ("f4", "i8")),
    *(typed("mappings/category", to) for to in ("u1",)),
    *(typed("copies/members/row", to) for to in ("f8",)),
    *(typed("train/shards/first_image", to) for to in ("f8",)),
    *(typed("train/images/data", to) for to in ("i2",)),
    *(metadata("train/labels/rule", "shape", to) for to in ([2**40, 2**40], [3], "abc", [-1, 4], [])),
    *(metadata("train/images/data", "shape", to) for to in ([2**40, 2**60], [1, 2, 3], [0, 0])),
    *(metadata("categories/positives", "shape", to) for to in ([2**40], [1], [])),
    *(metadata("train/shards/first_image", "shape", to) for to in ([2**40], [2])),
    *(metadata("mappings/evidence", "shape", to) for to in ([2**36], [0])),
    *(
        metadata("train/images/width", "codecs", to)
        for to in ([], [{"name": "gzip"}], 5, [{"name": "bytes"}])
    ),
    *(metadata("train/images/width", "data_type", to) for to in ("float64", "none", ["uint32"])),
    *(metadata("train/images/width", "chunk_grid", to) for to in ({}, {"name": "other"}, 5)),
]
"""Columns: values that are no code, no index, no share and no end of anything; other types, shapes and encodings."""

FILE_EDITS = [
    *(file("zarr.json", text(to), to[:20]) for to in ("", "[]", "5", "{", '{"attributes": 5}', NESTED)),
    *(file("train/zarr.json", text(to), to[:20]) for to in ("", '{"attributes": []}', NESTED)),
    *(
        file(name, None, "gone")
        for name in ("train/zarr.json", "train", "train/labels", "copies", "categories")
    ),
    *(file(name, None, "gone") for name in ("mappings/name", "pairs/bound", "train/labels/state/zarr.json")),
    *(
        file(name, put, what)
        for name in ("zarr.json", "train/zarr.json")
        for put, what in ((os.mkfifo, "a pipe"), (device, "a device"), (Path.mkdir, "a folder"))
    ),
    *(
        file(f"train/{name}", put, what)
        for name in ("labels/category/c/0/0", "images/start/c/0", "images/data/c/0/0", "images/id/zarr.json")
        for put, what in ((os.mkfifo, "a pipe"), (device, "a device"), (Path.mkdir, "a folder"))
    ),
    *(file("categories/name/c/0", put, what) for put, what in ((os.mkfifo, "a pipe"), (device, "a device"))),
    *(
        file("copies/members/row/c/0", put, what)
        for put, what in ((os.mkfifo, "a pipe"), (device, "a device"))
    ),
]
"""Files: others, none, and what is no file."""
