"""Two tables of images of which some are copies of each other, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlimg_build.spec import LoadedSpec, load_spec
from tests.support.photographs import crops

DOG, CORGI, ANIMAL, CAT, SEA = "n02084071", "n02112826", "n00015388", "n02121620", "n09426788"

SPEC = """\
mlimg: 1
name: copies
version: 1.0.0
sources:
  a: {type: table, table: a.csv, images: a, columns: {confidence: sure}}
  b: {type: table, table: b.csv, images: b, columns: {confidence: sure}}
vocabulary: {include: [n02084071, n02112826, n00015388, n02121620, n09426788]}
split: {validation: 0.4}
dataset: {images_per_shard: 4}
"""

Table = Mapping[str, tuple[int, Sequence[tuple[str, str]]]]
"""By name of the file: the number of the photograph that it holds, and (category, confidence) of what is said of it."""


def make_copies(folder: Path, tables: Mapping[str, Table], spec: str = SPEC) -> LoadedSpec:
    """The spec over the tables `a` and `b`, with their images."""
    pictures = crops("chelsea", 40, 48)
    for source in ("a", "b"):
        (folder / source).mkdir(parents=True, exist_ok=True)
        rows = ["image,labels,sure"]
        for name, (picture, said) in tables.get(source, {}).items():
            (folder / source / name).write_bytes(pictures[picture])
            rows.append(f"{name},{'|'.join(one for one, _ in said)},{'|'.join(sure for _, sure in said)}")
        (folder / f"{source}.csv").write_text("\n".join(rows) + "\n")
    (folder / "copies.yaml").write_text(spec)
    return load_spec(folder / "copies.yaml")


def distinct(
    count: int, category: str = SEA, first: int = 20
) -> dict[str, tuple[int, list[tuple[str, str]]]]:
    """Images without copies, so that there are several shards."""
    return {f"x{i}.jpg": (first + i, [(category, "1")]) for i in range(count)}
