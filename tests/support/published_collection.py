"""A collection of the published size, drawn from the published statistics: two catalogs and a spec over them.

`imagenet` names one leaf an image; `open_images` says several things an image: present by people (confidence 1) and
machines, verified absent, now and then both at once. Categories are drawn so that the images that carry each, once the
hierarchy has implied what is above, follow the published counts. No image exists; the build never reads one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from mlimg_build.compiler.catalog.arrow_tables import StoredTable, hash_names, write_batches
from mlimg_build.compiler.catalog.catalog import STATEMENTS, content_digest, signature_of
from mlimg_build.compiler.engine.checksums import file_sums, sealed
from mlimg_build.labels import Hierarchy, from_graph
from mlimg_build.sources import DRAWN, IMAGES, NOT_INSIDE, Category, open_source, read_dictionary
from mlimg_build.sources.lists.confidences import stated
from mlimg_build.sources.lists.ml_images_dictionary import Dictionary
from mlimg_build.sources.protocol import record
from mlimg_build.spec import LoadedSpec, load_spec
from mlimg_build.wordnet import NounGraph

__all__ = ["IMAGENET", "OPEN_IMAGES", "Collection", "collection"]

IMAGENET, OPEN_IMAGES = 10_756_941, 6_902_811  # images, as published
SEED, BLOCK = 17, 1 << 19
SAID = np.array([0.50, 0.28, 0.12, 0.06, 0.03, 0.01])  # share of the images with 1, 2, … 6 presences
BY_MACHINE, ABSENCES, CLASHING = 0.5, 0.2, 0.003  # of the presences; an image; of the images
UNSURE = 0.02  # of the machines' presences, below the 0.8 that counts
NARROW = 8  # absences are verified of categories with at most so many descendants

LISTS = ("human.csv", "machine.csv")
SPEC = """\
mlimg: 1
name: published
version: 1.0.0
sources:
  imagenet: {{type: imagenet, images: images}}
  open_images:
    type: open_images
    images: images
    labels: [human.csv, machine.csv]
    classes: classes.csv
    min_confidence: 0.8
vocabulary:
  mapping: {{file: map.csv}}
  min_images_per_category: 1
  include: [{ids}]
annotation:
  machine_levels: 1 # as the published labels
  cooccurrence: {{learn_from: [open_images], min_probability: 0.5, doubtful: use}}
split: {{validation: 0.005}}
"""

COLUMNS = pa.schema(
    [*IMAGES, ("key", pa.uint64()), ("draw", pa.uint64()), ("split", pa.int8()), ("inside", pa.int64())]
)
Floats = npt.NDArray[np.float64]
Paths = Callable[[npt.NDArray[np.int64]], pa.Array]
Said = Callable[[npt.NDArray[np.uint64], npt.NDArray[np.int64]], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Collection:
    """A spec whose catalogs lie in the store of `out`, and the images that each category was to have."""

    loaded: LoadedSpec
    out: Path
    wanted: dict[str, float]


def collection(statistics: Path, folder: Path, graph: NounGraph, share: float = 1.0) -> Collection:
    """The collection, or this share of its images, from the published files in `statistics`."""
    dictionary = read_dictionary(statistics / "dictionary_and_semantic_hierarchy.txt")
    hierarchy = from_graph(graph, dictionary.wnids)
    counts = np.array(json.loads((statistics / "category_image_counts.json").read_text()), dtype=float)
    wanted = spread(counts, hierarchy)
    leaves, anything = fitted(wanted, hierarchy)
    loaded = _spec(folder, dictionary)
    place = folder / "out" / ".mlimg" / loaded.spec.name / "catalog"
    rng = np.random.default_rng(SEED)
    _imagenet(_Maker(loaded, "imagenet", place), dictionary, leaves, round(IMAGENET * share), rng)
    crowd = _Maker(loaded, "open_images", place)
    _open_images(crowd, dictionary, hierarchy, anything, round(OPEN_IMAGES * share), rng)
    return Collection(loaded, folder / "out", dict(zip(dictionary.wnids, wanted * share, strict=True)))


def spread(counts: Floats, hierarchy: Hierarchy) -> Floats:
    """A published count for each category: the file does not name them, so the widest get the largest.

    It lists fewer counts than there are categories; the rest get its smallest.
    """
    wide = np.diff(hierarchy.down.indptr)
    wanted = np.full(len(hierarchy), counts.min())
    wanted[np.argsort(-wide, kind="stable")[: len(counts)]] = np.sort(counts)[::-1]
    return wanted


def fitted(wanted: Floats, hierarchy: Hierarchy, steps: int = 100) -> tuple[Floats, Floats]:
    """The probabilities with which each source draws a category, so that the implied counts come near to `wanted`.

    Multiplicative updates (Richardson 1972, Lucy 1974), with an image that says k things counted once.
    """
    itself = sparse.eye_array(len(hierarchy), format="csr")
    people = sparse.csr_array(hierarchy.hops > 0).astype(float) + itself
    machines = sparse.csr_array(hierarchy.hops == 1).astype(float) + itself
    either = (1 - BY_MACHINE) * people + BY_MACHINE * machines
    leaves, anything = (np.diff(hierarchy.down.indptr) == 0) * wanted, wanted.copy()
    for _ in range(steps):
        leaves, anything = leaves / leaves.sum(), anything / anything.sum()
        missed = sum(share * (1 - either.T @ anything) ** k for k, share in enumerate(SAID, start=1))
        counted = IMAGENET * (people.T @ leaves) + OPEN_IMAGES * (1 - missed)
        off = wanted / np.maximum(counted, 1e-9)
        leaves, anything = leaves * _mean(people, off), anything * _mean(either, off)
    return leaves / leaves.sum(), anything / anything.sum()


def _mean(weights: sparse.csr_array, values: Floats) -> Floats:
    """The mean of the values by the weights of each row."""
    return np.asarray(weights @ values / weights.sum(axis=1)).ravel()


def _imagenet(
    maker: _Maker, dictionary: Dictionary, leaves: Floats, count: int, rng: np.random.Generator
) -> None:
    """`n01440764/n01440764_10026.JPEG`: folders of one synset each, numbered with gaps."""
    category = np.sort(rng.choice(len(leaves), count, p=leaves).astype(np.int32))
    start = np.searchsorted(category, np.arange(len(leaves)))
    serial = (np.arange(count) - start[category]) * 7 + 2 + category % 5
    wnids = pa.array(dictionary.wnids)

    def paths(at: npt.NDArray[np.int64]) -> pa.Array:
        wnid = wnids.take(pa.array(category[at]))
        name = pc.binary_join_element_wise(wnid, pa.array(serial[at]).cast(pa.string()), "_")
        return pc.binary_join_element_wise(wnid, pc.binary_join_element_wise(name, "JPEG", "."), "/")

    def said(keys: npt.NDArray[np.uint64], at: npt.NDArray[np.int64]) -> pa.RecordBatch:
        present, sure, record = np.ones(len(at), np.int8), np.ones(len(at)), np.zeros(len(at), np.int64)
        return pa.record_batch([keys, category[at], present, sure, record], schema=STATEMENTS)

    categories = [
        Category(wnid, name, wnid) for wnid, name in zip(dictionary.wnids, dictionary.names, strict=True)
    ]
    maker.write(categories, count, paths, said)


def _open_images(
    maker: _Maker,
    dictionary: Dictionary,
    hierarchy: Hierarchy,
    anything: Floats,
    count: int,
    rng: np.random.Generator,
) -> None:
    """`000004f4400f6ec5`: 16 hex digits; categories are called /m/…, and a mapping file says what they are."""
    narrow = np.flatnonzero(np.diff(hierarchy.down.indptr) <= NARROW).astype(np.int32)
    first_parent = _first_parents(hierarchy)

    def paths(at: npt.NDArray[np.int64]) -> pa.Array:
        digits = _mixed(at.astype(np.uint64)).astype(">u8").tobytes().hex()
        offsets = np.arange(0, 16 * len(at) + 1, 16, dtype=np.int32)
        names = pa.StringArray.from_buffers(len(at), pa.py_buffer(offsets), pa.py_buffer(digits.encode()))
        return pc.binary_join_element_wise(names, "jpg", ".")

    def said(keys: npt.NDArray[np.uint64], at: npt.NDArray[np.int64]) -> pa.RecordBatch:
        present = 1 + rng.choice(len(SAID), len(at), p=SAID)
        image = np.repeat(np.arange(len(at)), present)
        category = rng.choice(len(anything), len(image), p=anything).astype(np.int32)
        machine = rng.random(len(image)) < BY_MACHINE
        low = np.where(rng.random(len(image)) < UNSURE, 50, 80)
        confidence = np.where(machine, rng.integers(low, low + 20) / 100, 1).astype(np.float32)
        absent = np.flatnonzero(rng.random(len(at)) < ABSENCES)
        clashing = np.flatnonzero(rng.random(len(at)) < CLASHING)
        firsts = np.cumsum(present) - present
        image = np.concatenate([image, absent, clashing])
        category = np.concatenate(
            [category, rng.choice(narrow, len(absent)), first_parent[category[firsts[clashing]]]]
        )
        confidence = np.concatenate([confidence, np.zeros(len(absent) + len(clashing), np.float32)])
        by_people = (confidence == 0) | (confidence == 1)
        rows = np.where(by_people, record(0, at[image] * 8), record(1, at[image] * 4))
        order = np.lexsort((confidence, category, image))
        image, category, confidence, rows = (part[order] for part in (image, category, confidence, rows))
        again = (
            (image[1:] == image[:-1]) & (category[1:] == category[:-1]) & (confidence[1:] == confidence[:-1])
        )
        one = np.concatenate([[True], ~again])
        return pa.record_batch(
            [
                keys[image[one]],
                category[one],
                *stated(confidence[one].astype(np.float64)),
                rows[one] + np.arange(one.sum()) % 4,
            ],
            schema=STATEMENTS,
        )

    categories = [
        Category(f"/m/{number:05x}", name.partition(",")[0]) for number, name in enumerate(dictionary.names)
    ]
    maker.write(categories, count, paths, said)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Writes the catalog of a source where a build looks for it, as if the source had been read."""

    loaded: LoadedSpec
    name: str
    folder: Path

    def write(self, categories: list[Category], count: int, paths: Paths, said: Said) -> None:
        """The catalog of `count` images whose n-th has the path `paths([n])`; in blocks, in the order of the keys."""
        blocks = [np.arange(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]
        hashed = [hash_names(f"{self.name}/", _names(paths(block)).to_pylist()) for block in blocks]
        keys, draws = (np.concatenate(part) for part in zip(*hashed, strict=True))
        del hashed
        order = np.argsort(keys, kind="stable")
        ordered = [order[start : start + BLOCK] for start in range(0, count, BLOCK)]
        place = self.folder / self.name
        place.mkdir(parents=True)
        images = (_images(paths(at), at, keys[at], draws[at]) for at in ordered)
        write_batches(place / "images.arrow", COLUMNS, images)
        write_batches(place / "statements.arrow", STATEMENTS, (said(keys[at], at) for at in ordered))
        part = self.loaded.spec.sources[self.name]
        source = open_source(self.name, part)
        tables = [StoredTable(place / f"{table}.arrow") for table in ("images", "statements")]
        record = {
            "signature": signature_of(source, part).digest,
            "name": self.name,
            "digest": content_digest(*tables, categories),
            "categories": [(category.id, category.name, category.wnid) for category in categories],
            "complete": source.complete,
            "lists": [path.name for path in source.lists],
            "files": [],
            "notes": {},
            "examples": {},
            "join": None,
        }
        record["sums"] = {one.name: file_sums(one) for one in place.iterdir()}
        (place / "catalog.json").write_bytes(sealed(json.dumps(record)))


def _images(
    path: pa.Array,
    at: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    draws: npt.NDArray[np.uint64],
) -> pa.RecordBatch:
    constant = {
        "offset": -1,
        "status": "missing",
        "licence": "",
        "author": "",
        "mtime": 1_300_000_000,
        "ctime": 0,
        "split": DRAWN,
        "inside": NOT_INSIDE,
    }
    size = 20_000 + (_mixed(at.astype(np.uint64)) % np.uint64(180_000)).astype(np.int64)
    made = {"name": _names(path), "path": path, "size": size, "key": keys, "draw": draws}
    columns = [
        pa.array(made[field.name], field.type)
        if field.name in made
        else pa.repeat(pa.scalar(constant[field.name], field.type), len(at))
        for field in COLUMNS
    ]
    return pa.record_batch(columns, schema=COLUMNS)


def _names(paths: pa.Array) -> pa.Array:
    """The paths without their suffixes."""
    return pc.replace_substring_regex(paths, r"\.[A-Za-z]+$", "")


def _mixed(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """A number that looks random for each (splitmix64; Steele, Lea, Flood 2014); one to one."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _first_parents(hierarchy: Hierarchy) -> npt.NDArray[np.int32]:
    """The first parent of each category, itself at a root."""
    first = np.arange(len(hierarchy), dtype=np.int32)
    below = np.flatnonzero(np.diff(hierarchy.parents.indptr))
    first[below] = hierarchy.parents.indices[hierarchy.parents.indptr[below]]
    return first


def _spec(folder: Path, dictionary: Dictionary) -> LoadedSpec:
    """A spec over two empty folders; every category of the dictionary stays, whatever is drawn."""
    (folder / "images").mkdir(parents=True)
    for name in LISTS:
        (folder / name).write_text("ImageID,Source,LabelName,Confidence\n")
    (folder / "classes.csv").write_text("LabelName,DisplayName\n")
    rows = (f"open_images,/m/{number:05x},{wnid}\n" for number, wnid in enumerate(dictionary.wnids))
    (folder / "map.csv").write_text("source,category,wnid\n" + "".join(rows))
    (folder / "published.yaml").write_text(SPEC.format(ids=", ".join(dictionary.wnids)))
    return load_spec(folder / "published.yaml")
